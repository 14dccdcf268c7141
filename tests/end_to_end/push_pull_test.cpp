// Push and pull as browsers see them: nginx, workers, PostgreSQL, nothing left out.

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr const char* allowed_origin = "http://localhost:5173";

// Two devices of one user that nobody else is.
class two_devices : public testing::Test {
  protected:
    const std::string token = token_of(fresh("user"));
    const std::string now = time_from_now(-1s);
    device phone{token, "phone"};
    device laptop{token, "laptop"};
};

json::value answer_of(const http_reply& reply) {
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json();
}

std::set<std::string> ids_of(const json::value& answer) {
    std::set<std::string> ids;
    for (const auto& change : server_changes(answer))
        ids.insert(json::value_to<std::string>(change.at("id")));
    return ids;
}

// Many small records, so that pages have to be cut.
json::array many_inserts(int count, const std::string& at) {
    json::array changes;
    for (int i = 0; i < count; ++i) changes.push_back(insert_of("r" + std::to_string(i), {{"n", i}}, at));
    return changes;
}

// ---- what one pushes the other gets ----

TEST_F(two_devices, a_pushed_record_is_pulled_by_the_other) {
    answer_of(phone.push({insert_of("t1", {{"title", "hello"}}, now)}));
    const auto pulled = answer_of(laptop.pull("tasks"));
    ASSERT_EQ(server_changes(pulled).size(), 1U);
    const auto& change = server_changes(pulled)[0];
    EXPECT_EQ(change.at("op"), "insert");
    EXPECT_EQ(change.at("table"), "tasks");
    EXPECT_EQ(change.at("schemaVersion"), 1);
    EXPECT_EQ(change.at("data").at("title"), "hello");
    EXPECT_FALSE(change.at("eventId").as_string().empty());
}

TEST_F(two_devices, a_push_answers_with_the_changes_of_the_other) {
    answer_of(phone.push({insert_of("t1", {{"title", "hello"}}, now)}));
    EXPECT_EQ(ids_of(answer_of(laptop.push({insert_of("t2", {{"title", "there"}}, now)}))),
              std::set<std::string>{"t1"});
}

TEST_F(two_devices, a_cursor_sent_back_brings_only_what_is_new) {
    answer_of(phone.push({insert_of("t1", {{"title", "old"}}, now)}));
    const auto first = answer_of(laptop.pull("tasks"));
    EXPECT_TRUE(server_changes(answer_of(laptop.pull("tasks", synced_until(first)))).empty());
    answer_of(phone.push({insert_of("t2", {{"title", "new"}}, now)}));
    EXPECT_EQ(ids_of(answer_of(laptop.pull("tasks", synced_until(first)))), std::set<std::string>{"t2"});
}

TEST_F(two_devices, a_pull_is_of_one_collection) {
    answer_of(phone.push({insert_of("t1", {{"title", "hello"}}, now)}));
    EXPECT_TRUE(server_changes(answer_of(laptop.pull("lists"))).empty());
}

TEST_F(two_devices, another_app_has_other_records) {
    answer_of(phone.push({insert_of("t1", {{"title", "hello"}}, now)}));
    device elsewhere{token, "laptop", "notes"};
    EXPECT_TRUE(server_changes(answer_of(elsewhere.pull("tasks"))).empty());
}

TEST_F(two_devices, another_user_sees_nothing_of_it) {
    answer_of(phone.push({insert_of("t1", {{"title", "hello"}}, now)}));
    device stranger{token_of(fresh("user")), "laptop"};
    EXPECT_TRUE(server_changes(answer_of(stranger.pull("tasks"))).empty());
}

// ---- own changes ----

// The cursor of a client that did not begin at the epoch (one that did is shown its own changes as well).
std::string cursor_of_now() {
    auto now = time_from_now();
    return now.replace(now.size() - 1, 1, "000Z");
}

TEST_F(two_devices, own_changes_do_not_come_back) {
    const auto start = cursor_of_now();
    answer_of(phone.push({insert_of("t1", {{"title", "mine"}}, now)}, start));
    EXPECT_TRUE(server_changes(answer_of(phone.pull("tasks", start))).empty());
    EXPECT_EQ(ids_of(answer_of(laptop.pull("tasks", start))), std::set<std::string>{"t1"});
}

TEST_F(two_devices, include_own_brings_own_changes) {
    const auto pushed = answer_of(phone.push({insert_of("t1", {{"title", "mine"}}, now)}));
    EXPECT_TRUE(server_changes(pushed).empty());
    EXPECT_EQ(ids_of(answer_of(phone.pull("tasks", "", "&includeOwn=true"))), std::set<std::string>{"t1"});
}

TEST_F(two_devices, the_client_id_of_the_header_wins_over_the_body) {
    const auto start = cursor_of_now();
    const json::object body{{"clientId", "laptop"},
                            {"since", start},
                            {"changes", json::array{insert_of("t1", {{"title", "mine"}}, now)}}};
    answer_of(phone.push_text(json::serialize(body)));
    answer_of(phone.push({insert_of("t2", {{"title", "also"}}, now)}));
    EXPECT_EQ(ids_of(answer_of(laptop.pull("tasks", start))), (std::set<std::string>{"t1", "t2"}));
}

// ---- who wins ----

TEST_F(two_devices, an_older_write_is_a_conflict_and_its_author_is_told_what_is_held) {
    answer_of(phone.push({insert_of("t1", {{"title", "first"}}, now)}));
    answer_of(phone.push({update_of("t1", "title", "newer", time_from_now())}));
    const auto late = answer_of(laptop.push({update_of("t1", "title", "older", time_from_now(-500ms))}));
    const auto& conflicts = late.at("conflicts").as_array();
    ASSERT_EQ(conflicts.size(), 1U);
    EXPECT_EQ(conflicts[0].at("table"), "tasks");
    EXPECT_EQ(conflicts[0].at("id"), "t1");
    EXPECT_EQ(conflicts[0].at("field"), "title");
    EXPECT_EQ(conflicts[0].at("clientValue"), "older");
    EXPECT_EQ(conflicts[0].at("serverValue"), "newer");
    EXPECT_NE(json::serialize(late.at("serverChanges")).find("newer"), std::string::npos);
}

TEST_F(two_devices, a_push_that_is_sent_again_changes_nothing) {
    const json::array changes{insert_of("t1", {{"title", "once"}}, now)};
    answer_of(phone.push(changes));
    const auto cursor = synced_until(answer_of(laptop.pull("tasks")));
    answer_of(phone.push(changes));
    EXPECT_TRUE(server_changes(answer_of(laptop.pull("tasks", cursor))).empty());
}

TEST_F(two_devices, a_change_that_cannot_be_stored_is_rejected_alone) {
    const auto answer = answer_of(phone.push({insert_of("good", {{"title", "fine"}}, now),
                                              insert_of("bad", {{"title", std::string("nul\0", 4)}}, now),
                                              insert_of("also-good", {{"title", "fine"}}, now)}));
    const auto& rejected = answer.at("rejected").as_array();
    ASSERT_EQ(rejected.size(), 1U);
    EXPECT_EQ(rejected[0].at("index"), 1);
    EXPECT_EQ(rejected[0].at("id"), "bad");
    EXPECT_FALSE(rejected[0].at("code").as_string().empty());
    EXPECT_FALSE(rejected[0].at("message").as_string().empty());
    EXPECT_EQ(ids_of(answer_of(laptop.pull("tasks"))), (std::set<std::string>{"also-good", "good"}));
}

// ---- pages ----

TEST_F(two_devices, pages_bring_everything_once) {
    constexpr int records = 5'200;
    answer_of(phone.push(many_inserts(records, now)));

    const auto push_page = answer_of(laptop.push({}));
    EXPECT_EQ(server_changes(push_page).size(), 5'000U);
    EXPECT_TRUE(has_more(push_page));
    EXPECT_EQ(server_changes(answer_of(laptop.pull("tasks", synced_until(push_page)))).size(), 200U);

    std::multiset<std::string> seen;
    std::string since;
    for (bool more = true; more;) {
        const auto page = answer_of(laptop.pull("tasks", since));
        EXPECT_LE(server_changes(page).size(), 1'000U);
        for (const auto& change : server_changes(page))
            seen.insert(json::value_to<std::string>(change.at("id")));
        EXPECT_GT(synced_until(page), since);
        since = synced_until(page);
        more = has_more(page);
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(records));
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), static_cast<std::size_t>(records));
}

TEST_F(two_devices, a_full_last_page_has_no_more) {
    answer_of(phone.push(many_inserts(1'000, now)));
    const auto page = answer_of(laptop.pull("tasks"));
    EXPECT_EQ(server_changes(page).size(), 1'000U);
    EXPECT_FALSE(has_more(page));
}

// ---- values ----

TEST_F(two_devices, unknown_keys_are_ignored) {
    auto change = insert_of("t1", {{"title", "hello"}}, now);
    change["color"] = "blue";
    change["nested"] = {{"a", 1}};
    answer_of(phone.push_text(
        json::serialize(json::object{{"since", ""}, {"mood", "good"}, {"changes", json::array{change}}})));
    const auto pulled = answer_of(laptop.pull("tasks"));
    ASSERT_EQ(server_changes(pulled).size(), 1U);
    EXPECT_FALSE(server_changes(pulled)[0].as_object().contains("color"));
}

TEST_F(two_devices, values_come_out_as_they_went_in) {
    const json::object data{{"emoji", "👩‍👩‍👧 ok"},
                            {"largest", 9223372036854775807},
                            {"smallest", json::value(std::int64_t{-9223372036854775807} - 1)},
                            {"unsigned", 18446744073709551615U},
                            {"tiny", 1e-300},
                            {"empty", ""},
                            {"nothing", nullptr},
                            {"flag", false},
                            {"list", {1, "two", nullptr, json::array{}}},
                            {"object", {{"deep", {{"er", true}}}}},
                            {"control", "tab\tquote\"slash\\"},
                            {"long", std::string(1'000'000, 'x')}};
    answer_of(phone.push({insert_of("t1", data, now)}));
    const auto pulled = answer_of(laptop.pull("tasks"));
    ASSERT_EQ(server_changes(pulled).size(), 1U);
    const auto& shown = server_changes(pulled)[0].at("data").as_object();
    for (const auto& [name, value] : data) EXPECT_EQ(shown.at(name), value) << name;
}

TEST_F(two_devices, numbers_that_no_double_holds_keep_their_digits) {
    constexpr const char* digits = "123456789012345678901234567890.000000000000000000001";
    answer_of(phone.push_text(
        std::string{R"({"since":"","changes":[{"table":"tasks","id":"t1","op":"insert","data":{"n":)"} +
        digits + R"(,"updatedAt":")" + now + R"("}}]})"));
    EXPECT_NE(laptop.pull("tasks").body.find(digits), std::string::npos);
}

TEST_F(two_devices, names_of_fields_may_be_anything) {
    const json::object data{
        {"__proto__", "p"}, {"constructor", "c"}, {R"(quo"ted)", "q"}, {"sp ace", "s"}, {"ünï", "u"}};
    answer_of(phone.push({insert_of("t1", data, now)}));
    const auto pulled = answer_of(laptop.pull("tasks"));
    ASSERT_EQ(server_changes(pulled).size(), 1U);
    const auto& shown = server_changes(pulled)[0].at("data").as_object();
    for (const auto& [name, value] : data) EXPECT_EQ(shown.at(name), value) << name;
}

TEST_F(two_devices, a_dotted_path_travels_as_it_is) {
    answer_of(phone.push({insert_of("t1", {{"rec", {{"int", 1}}}}, now)}));
    answer_of(phone.push({update_of("t1", "rec.int", 2, time_from_now())}));
    const auto pulled = answer_of(laptop.pull("tasks"));
    bool found = false;
    for (const auto& change : server_changes(pulled)) {
        const auto* const fields = change.as_object().if_contains("fields");
        found = found || (fields != nullptr && fields->as_object().contains("rec.int") &&
                          fields->at("rec.int").at("value") == 2);
    }
    EXPECT_TRUE(found) << json::serialize(pulled);
}

TEST_F(two_devices, a_lone_surrogate_becomes_the_replacement_character) {
    answer_of(phone.push_text(
        R"({"since":"","changes":[{"table":"tasks","id":"t1","op":"insert","data":{"s":"a\ud800b","updatedAt":")" +
        now + R"("}}]})"));
    const auto pulled = answer_of(laptop.pull("tasks"));
    ASSERT_EQ(server_changes(pulled).size(), 1U);
    EXPECT_EQ(server_changes(pulled)[0].at("data").at("s"), "a\xEF\xBF\xBD"
                                                            "b");
}

// ---- errors ----

struct refused_request {
    const char* name;
    long status;
    const char* code;
    http_reply (*send)(device&, const http_client::header_lines& headers);
};

void PrintTo(const refused_request& request, std::ostream* out) {
    *out << request.name;
}

class refusal : public testing::TestWithParam<refused_request> {};

http_client::header_lines with_origin(const http_client::header_lines& lines) {
    auto all = lines;
    all.push_back(std::string{"Origin: "} + allowed_origin);
    return all;
}

TEST_P(refusal, is_json_that_a_browser_may_read) {
    device one{token_of(fresh("user")), "phone"};
    const auto reply = GetParam().send(one, with_origin(one.headers()));
    EXPECT_EQ(reply.status, GetParam().status) << reply.body;
    EXPECT_EQ(reply.error_code(), GetParam().code) << reply.body;
    EXPECT_EQ(reply.header("content-type"), "application/json");
    EXPECT_EQ(reply.header("access-control-allow-origin"), allowed_origin);
    EXPECT_EQ(reply.header("access-control-allow-credentials"), "true");
}

using lines = http_client::header_lines;

INSTANTIATE_TEST_SUITE_P(
    of, refusal,
    testing::Values(
        refused_request{
            "no_json", 400, "invalid_json",
            [](device& one, const lines& all) { return one.http().post("/sync/todo", "{", all); }},
        refused_request{
            "no_collection", 400, "invalid_request",
            [](device& one, const lines& all) { return one.http().get("/sync/todo/pull?since=", all); }},
        refused_request{"no_since", 400, "invalid_request",
                        [](device& one, const lines& all) {
                            return one.http().get("/sync/todo/pull?collection=a", all);
                        }},
        refused_request{"bad_escape", 400, "invalid_request",
                        [](device& one, const lines& all) {
                            return one.http().get("/sync/todo/pull?collection=%zz&since=", all);
                        }},
        refused_request{"collection_of_no_text", 400, "invalid_request",
                        [](device& one, const lines& all) {
                            return one.http().get("/sync/todo/pull?collection=%ff%00&since=", all);
                        }},
        refused_request{
            "no_token", 401, "unauthorized",
            [](device& one, const lines&) { return one.http().post("/sync/todo", "{}", with_origin({})); }},
        refused_request{"no_token_and_a_large_body", 401, "unauthorized",
                        [](device& one, const lines&) {
                            return one.http().post("/sync/todo", std::string(9'000'000, ' '),
                                                   with_origin({}));
                        }},
        refused_request{"another_token", 401, "unauthorized",
                        [](device& one, const lines&) {
                            return one.http().get("/sync/todo/pull?collection=a&since=",
                                                  with_origin({"Authorization: Bearer a.b.c"}));
                        }},
        refused_request{
            "odd_app", 404, "not_found",
            [](device& one, const lines& all) { return one.http().post("/sync/to%20do", "{}", all); }},
        refused_request{"long_app", 404, "not_found",
                        [](device& one, const lines& all) {
                            return one.http().post("/sync/" + std::string(129, 'a'), "{}", all);
                        }},
        refused_request{"get_of_push", 405, "method_not_allowed",
                        [](device& one, const lines& all) { return one.http().get("/sync/todo", all); }},
        refused_request{"put_of_pull", 405, "method_not_allowed",
                        [](device& one, const lines& all) {
                            return one.http().send("PUT", "/sync/todo/pull?collection=a&since=", all);
                        }},
        refused_request{"large_body", 413, "body_too_large",
                        [](device& one, const lines& all) {
                            return one.http().post("/sync/todo", std::string(10 * 1024 * 1024 + 1, ' '), all);
                        }}),
    [](const auto& of) { return std::string{of.param.name}; });

TEST_F(two_devices, a_wrong_method_is_told_the_right_one) {
    EXPECT_EQ(phone.http().get("/sync/todo", phone.headers()).header("allow"), "POST");
}

TEST_F(two_devices, a_refused_push_stores_nothing) {
    auto wrong = insert_of("t2", {{"title", "x"}}, now);
    wrong["op"] = "upsert";
    const auto reply = phone.push({insert_of("t1", {{"title", "x"}}, now), wrong});
    EXPECT_EQ(reply.status, 400);
    EXPECT_NE(reply.body.find('1'), std::string::npos) << "the change's index is not named: " << reply.body;
    EXPECT_TRUE(server_changes(answer_of(laptop.pull("tasks"))).empty());
}

TEST_F(two_devices, a_repeated_parameter_counts_once) {
    answer_of(phone.push({insert_of("t1", {{"title", "hello"}}, now)}));
    EXPECT_EQ(ids_of(answer_of(laptop.pull("tasks", "", "&collection=lists"))), std::set<std::string>{"t1"});
}

TEST(page_rows, cut_pulls_and_the_answers_to_pushes) {
    const scratch_folder folder;
    auto settings = worker_settings(folder);
    settings["PAGE_ROWS"] = "2";
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready()) << worker.log();
    const auto token = token_of(fresh("user"));
    const auto push = [&](const char* client, const json::array& changes) {
        const auto body = json::serialize(json::object{{"since", ""}, {"changes", changes}});
        return json::parse(
            ask(worker.socket(), "POST", "/sync/todo", token, body, {{"HTTP_X_CLIENT_ID", client}}).body);
    };
    json::array eleven;
    for (int i = 0; i < 11; ++i)
        eleven.push_back(insert_of("t" + std::to_string(i), {{"n", i}}, time_from_now(-1s)));
    push("phone", eleven);
    const auto pushed = push("laptop", {});
    EXPECT_EQ(server_changes(pushed).size(), 10U);
    EXPECT_TRUE(has_more(pushed));
    std::string since;
    std::vector<std::size_t> pages;
    for (bool more = true; more && pages.size() < 10;) {
        const auto page = json::parse(ask(worker.socket(), "GET", "/sync/todo/pull", token, "",
                                          {{"QUERY_STRING", "collection=tasks&since=" + since}})
                                          .body);
        pages.push_back(server_changes(page).size());
        since = synced_until(page);
        more = has_more(page);
    }
    EXPECT_EQ(pages, (std::vector<std::size_t>{2, 2, 2, 2, 2, 1}));
}

// ---- browsers ----

TEST_F(two_devices, a_preflight_is_allowed_without_a_token) {
    const auto reply =
        phone.http().send("OPTIONS", "/sync/todo",
                          {std::string{"Origin: "} + allowed_origin, "Access-Control-Request-Method: POST",
                           "Access-Control-Request-Headers: authorization,content-type,x-client-id"});
    EXPECT_EQ(reply.status, 204);
    EXPECT_EQ(reply.header("access-control-allow-origin"), allowed_origin);
    for (const char* const name :
         {"Authorization", "Content-Type", "Content-Encoding", "X-Client-Id", "Last-Event-ID"})
        EXPECT_NE(reply.header("access-control-allow-headers").find(name), std::string::npos) << name;
}

TEST_F(two_devices, another_origin_gets_no_cors_headers) {
    auto headers = phone.headers();
    headers.emplace_back("Origin: https://evil.example");
    const auto reply = phone.http().get("/sync/todo/pull?collection=tasks&since=", headers);
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.headers.count("access-control-allow-origin"), 0U);
}

TEST_F(two_devices, answers_are_not_for_caches) {
    EXPECT_EQ(phone.pull("tasks").header("cache-control"), "no-store");
}

} // namespace
} // namespace mana::end_to_end
