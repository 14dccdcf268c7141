// Billing and memberships (SPEC §6): who may sync, who shares a space, and what happens while neither can be
// asked.

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <memory>
#include <string>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr const char* no_since = "";

// The identity service, which plays billing and memberships.
class services {
  public:
    void set(const json::object& wish) { http_.post("/control", json::serialize(wish)); }
    void deactivate(const std::string& user) { set({{"inactive", {{user, true}}}}); }
    void activate(const std::string& user) { set({{"inactive", {{user, false}}}}); }
    void join(const std::string& user, const json::array& spaces) {
        json::array memberships;
        for (const auto& space : spaces)
            memberships.push_back(json::object{{"organizationId", space}, {"role", "member"}});
        set({{"memberships", {{user, memberships}}}});
    }
    // How often a path was asked for since the service started, or was reset.
    std::int64_t asked(const std::string& path) {
        const auto counts = http_.get("/control/counts").json();
        const auto* found = counts.as_object().if_contains(path);
        return found == nullptr ? 0 : found->to_number<std::int64_t>();
    }
    // `part` answers so about this user alone: see identity.py.
    void fail_for(const std::string& user, const std::string& part, const json::value& how) {
        set({{"fail_user", {{part, {{user, how}}}}}});
    }
    void reset() { set({{"reset", true}}); }

  private:
    http_client http_{required_environment("MANA_TEST_IDENTITY_URL")};
};

std::string billing_path(const std::string& user) {
    return "/api/v1/internal/sync/status/" + user;
}

std::string memberships_path(const std::string& user) {
    return "/api/v1/internal/users/" + user + "/memberships";
}

json::object in_space(json::object change, const std::string& space) {
    change["spaceId"] = space;
    return change;
}

// ---- through nginx ----

class gates : public testing::Test {
  protected:
    void TearDown() override { around.reset(); }

    services around;
    const std::string user = fresh("user");
    const std::string now = time_from_now(-1s);
};

TEST_F(gates, who_has_not_paid_is_refused_and_nothing_is_stored) {
    around.deactivate(user);
    device phone{token_of(user), "phone"};
    const auto refused = phone.push({insert_of("t1", {{"n", 1}}, now)});
    EXPECT_EQ(refused.status, 402);
    EXPECT_EQ(refused.error_code(), "sync_inactive");
    EXPECT_EQ(phone.pull("tasks").status, 402);
    EXPECT_EQ(phone.http().get("/sync/todo/stream", phone.headers()).status, 402);
}

TEST_F(gates, who_has_not_paid_is_told_when_to_ask_again) {
    around.deactivate(user);
    device phone{token_of(user), "phone"};
    auto headers = phone.headers();
    headers.emplace_back("Origin: http://localhost:5173");
    for (const char* const path : {"/sync/todo/pull?collection=tasks", "/sync/todo/stream"}) {
        const auto refused = phone.http().get(path, headers);
        EXPECT_EQ(refused.status, 402) << path;
        EXPECT_EQ(refused.header("retry-after"), "30") << path;
        EXPECT_NE(refused.header("access-control-expose-headers").find("Retry-After"), std::string::npos);
    }
}

TEST_F(gates, billing_is_asked_once_for_all_workers) {
    const auto token = token_of(user);
    for (int i = 0; i < 30; ++i) { // a connection each, so that all workers are met
        device fresh_connection{token, "phone"};
        ASSERT_EQ(fresh_connection.pull("tasks").status, 200);
    }
    EXPECT_EQ(around.asked(billing_path(user)), 1);
    EXPECT_EQ(around.asked(memberships_path(user)), 1);
}

TEST_F(gates, a_member_reads_and_writes_what_others_wrote_into_the_space) {
    const auto space = fresh("space");
    const auto friend_of_user = fresh("friend");
    around.join(user, {space});
    around.join(friend_of_user, {space});
    device phone{token_of(user), "phone"};
    device laptop{token_of(friend_of_user), "laptop"};
    ASSERT_EQ(laptop.pull("tasks").status, 200); // before anything is there: who joins later is shown copies
    ASSERT_EQ(phone.push({in_space(insert_of("t1", {{"title", "old"}}, time_from_now(-10s)), space)}).status,
              200);
    const auto seen = server_changes(laptop.pull("tasks").json());
    ASSERT_FALSE(seen.empty()); // who just joined may be given it twice: by the space and by joining
    for (const auto& change : seen) EXPECT_EQ(change.at("spaceId"), json::value(space));
    // The record lives there: a change that names no space meets it.
    ASSERT_EQ(laptop.push({update_of("t1", "title", "new", now)}).status, 200);
    const auto back = server_changes(phone.pull("tasks").json());
    ASSERT_FALSE(back.empty());
    EXPECT_EQ(back.back().at("fields").at("title").at("value"), "new");
    // Last write wins across authors.
    const auto lost = phone.push({update_of("t1", "title", "late", time_from_now(-5s))}).json();
    ASSERT_EQ(lost.at("conflicts").as_array().size(), 1U);
    EXPECT_EQ(lost.at("conflicts").at(0).at("serverValue"), "new");
}

TEST_F(gates, a_change_for_a_space_of_others_is_refused_alone) {
    const auto space = fresh("space");
    const auto member = fresh("member");
    around.join(member, {space});
    device phone{token_of(user), "phone"};
    const auto reply =
        phone.push({in_space(insert_of("t1", {{"n", 1}}, now), space), insert_of("t2", {{"n", 2}}, now)});
    ASSERT_EQ(reply.status, 200) << reply.body;
    const auto answer = reply.json();
    ASSERT_EQ(answer.at("rejected").as_array().size(), 1U);
    EXPECT_EQ(answer.at("rejected").at(0).at("index"), 0);
    EXPECT_EQ(answer.at("rejected").at(0).at("code"), "not_a_member");
    device others{token_of(member), "laptop"};
    EXPECT_TRUE(server_changes(others.pull("tasks").json()).empty());
    device tablet{token_of(user), "tablet"};
    const auto own = tablet.pull("tasks").json();
    ASSERT_EQ(server_changes(own).size(), 2U) << "its author's other devices see it";
    EXPECT_EQ(server_changes(own).at(0).at("spaceId").as_string(), space);
}

TEST_F(gates, a_space_that_is_new_is_found_at_once) {
    const auto space = fresh("space");
    device phone{token_of(user), "phone"};
    ASSERT_EQ(phone.pull("tasks").status, 200); // now it is known that there is none
    around.join(user, {space});
    const auto reply = phone.push({in_space(insert_of("t1", {{"n", 1}}, now), space)});
    EXPECT_FALSE(reply.json().as_object().contains("rejected")) << reply.body;
}

TEST_F(gates, the_personal_space_is_the_callers_own) {
    device phone{token_of(user), "phone"};
    device stranger{token_of(fresh("stranger")), "laptop"};
    const auto personal = "_personal:" + user;
    ASSERT_FALSE(phone.push({in_space(insert_of("t1", {{"n", 1}}, now), personal)})
                     .json()
                     .as_object()
                     .contains("rejected"));
    ASSERT_FALSE(stranger.push({in_space(insert_of("t2", {{"n", 1}}, now), personal)})
                     .json()
                     .as_object()
                     .contains("rejected"));
    device other_tab{token_of(user), "tab"};
    ASSERT_EQ(server_changes(other_tab.pull("tasks").json()).size(), 1U);
    EXPECT_EQ(server_changes(other_tab.pull("tasks").json())[0].at("spaceId"), json::value(personal));
}

TEST_F(gates, who_asks_too_often_is_told_when_to_come_again) {
    device phone{token_of(user), "phone"};
    auto headers = phone.headers();
    headers.emplace_back("Origin: http://localhost:5173");
    http_reply reply;
    for (int i = 0; i < 3'000 && reply.status != 429; ++i)
        reply = phone.http().get("/sync/todo/pull", headers);
    ASSERT_EQ(reply.status, 429);
    EXPECT_EQ(reply.error_code(), "too_many_requests");
    EXPECT_FALSE(reply.header("retry-after").empty());
    EXPECT_EQ(reply.header("access-control-allow-origin"), "http://localhost:5173");
    device other{token_of(fresh("other")), "phone"};
    EXPECT_EQ(other.pull("tasks").status, 200) << "one user's haste is nobody else's";
}

TEST_F(gates, who_asks_in_a_loop_leaves_the_other_devices_of_its_user_theirs) {
    const auto token = token_of(user);
    device phone{token, "phone"};
    device laptop{token, "laptop"};
    int refused = 0; // until workers and nginx have both had enough of it
    for (int asked = 0; asked < 6'000 && refused < 1'000; ++asked)
        refused += phone.http().get("/sync/todo/pull", phone.headers()).status == 429 ? 1 : 0;
    ASSERT_EQ(refused, 1'000);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(laptop.pull("tasks").status, 200);
}

class rate_of_requests : public testing::Test {
  protected:
    rate_of_requests() {
        settings["WORKERS"] = "2";
        settings["MAX_REQUESTS"] = "1";
    }

    fastcgi_reply pull(const std::string& with, const std::string& client) {
        return ask(settings["WORKER_SOCKET"], "GET", "/sync/todo/pull", with, "",
                   {{"QUERY_STRING", "collection=tasks&since="}, {"HTTP_X_CLIENT_ID", client}});
    }

    const scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
    const std::string token = token_of(fresh("user"));
};

TEST_F(rate_of_requests, is_a_users_on_all_devices_and_for_all_workers) {
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready(2)) << worker.log();
    fastcgi_reply reply;
    int taken = 0;
    while (taken < 100 && (reply = pull(token, "device-" + std::to_string(taken % 4))).status == 200) ++taken;
    EXPECT_EQ(reply.status, 429) << reply.body;
    EXPECT_EQ(reply.headers["Retry-After"], "1");
    EXPECT_GE(taken, 10) << "ten seconds' worth at once";
    EXPECT_LT(taken, 100);
    EXPECT_EQ(pull(token_of(fresh("other")), "device-0").status, 200);
}

TEST_F(rate_of_requests, is_no_more_than_half_for_one_device) {
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready(2)) << worker.log();
    fastcgi_reply reply;
    int taken = 0;
    while (taken < 100 && (reply = pull(token, "phone")).status == 200) ++taken;
    EXPECT_EQ(reply.status, 429) << reply.body;
    EXPECT_GE(taken, 5) << "a queue of five seconds of the user's rate at once";
    EXPECT_LT(taken, 10);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(pull(token, "laptop").status, 200);
}

// ---- with services that fail: a worker of its own, since it remembers for a while that they did ----

class failing_services : public testing::Test {
  protected:
    failing_services() {
        const auto identity = required_environment("MANA_TEST_IDENTITY_URL");
        settings["MANA_CREDITS_URL"] = identity;
        settings["MANA_AUTH_URL"] = identity;
        settings["MANA_SERVICE_KEY"] = "dev-service-key";
    }
    void TearDown() override { around.reset(); }

    fastcgi_reply push(const json::array& changes) { return push_of(user, changes); }
    fastcgi_reply push_of(const std::string& whose, const json::array& changes) {
        return ask(settings["WORKER_SOCKET"], "POST", "/sync/todo", token_of(whose),
                   json::serialize(json::object{{"since", ""}, {"changes", changes}}));
    }
    fastcgi_reply pull(const std::string& since) { return pull_of(user, since); }
    fastcgi_reply pull_of(const std::string& whose, const std::string& since) {
        return ask(settings["WORKER_SOCKET"], "GET", "/sync/todo/pull", token_of(whose), "",
                   {{"QUERY_STRING", "collection=tasks&since=" + since}});
    }

    services around;
    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
    const std::string user = fresh("user");
    const std::string space = fresh("space");
    const std::string now = time_from_now(-1s);
};

TEST_F(failing_services, everyone_may_sync_while_billing_does_not_answer) {
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    for (const json::value& failure : {json::value{500}, json::value{"close"}}) {
        around.set({{"fail", {{"billing", failure}}}});
        EXPECT_EQ(push({insert_of(fresh("t"), {{"n", 1}}, now)}).status, 200);
    }
    EXPECT_TRUE(await([&] { return worker.logs("event=service_down service=billing"); }));
    const auto log = worker.log();
    EXPECT_EQ(log.find("service_down"), log.rfind("service_down")) << "one line for one outage";
}

TEST_F(failing_services, a_slow_service_costs_one_request_a_second_and_the_next_ones_nothing) {
    around.set({{"delay", {{"billing", 4}, {"memberships", 4}}}});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    auto began = clock::now();
    EXPECT_EQ(push({insert_of("t1", {{"n", 1}}, now)}).status, 200);
    EXPECT_LT(clock::now() - began, 3500ms);
    began = clock::now();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pull("").status, 200);
    EXPECT_LT(clock::now() - began, 1s);
}

TEST_F(failing_services, a_push_that_names_an_unknown_space_is_told_to_come_again) {
    around.set({{"fail", {{"memberships", 503}}}});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 503);
    EXPECT_EQ(push({insert_of("t1", {{"n", 1}}, now)}).status, 200) << "its own scope needs nobody's word";
}

TEST_F(failing_services, no_cursor_moves_while_it_is_not_known_which_spaces_are_read) {
    around.set({{"fail", {{"memberships", 503}}}});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({insert_of("t1", {{"n", 1}}, now)}).status, 200);
    const std::string since = "2026-01-01T00:00:00.000000Z";
    const auto answer = json::parse(pull(since).body);
    EXPECT_EQ(server_changes(answer).size(), 1U);
    EXPECT_EQ(synced_until(answer), since);
    EXPECT_FALSE(has_more(answer));
}

TEST_F(failing_services, the_last_known_spaces_serve_while_memberships_do_not_answer) {
    settings["GATE_CACHE"] = "1s";
    around.join(user, {space});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 200);
    around.set({{"fail", {{"memberships", "close"}}}});
    ASSERT_TRUE(await([&] {
        const auto answer = json::parse(pull("").body);
        return server_changes(answer).size() == 1 && worker.logs("event=service_down service=memberships");
    }));
    const auto answer = json::parse(push({in_space(update_of("t1", "n", 2, time_from_now()), space)}).body);
    EXPECT_FALSE(answer.as_object().contains("rejected"));
}

TEST_F(failing_services, last_known_spaces_that_are_too_old_do_not_serve) {
    settings["GATE_CACHE"] = "1s";
    settings["SPACES_STALE_HOURS"] = "0";
    around.join(user, {space});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 200);
    around.set({{"fail", {{"memberships", "close"}}}});
    EXPECT_TRUE(await([&] { return server_changes(json::parse(pull("").body)).empty(); }));
}

TEST_F(failing_services, who_leaves_a_space_sees_it_no_more_once_the_answer_is_old) {
    settings["GATE_CACHE"] = "1s";
    around.join(user, {space});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 200);
    EXPECT_EQ(server_changes(json::parse(pull("").body)).size(), 1U);
    around.join(user, {});
    EXPECT_TRUE(await([&] { return server_changes(json::parse(pull("").body)).empty(); }));
    const auto answer = json::parse(push({in_space(insert_of("t2", {{"n", 1}}, now), space)}).body);
    EXPECT_EQ(answer.at("rejected").at(0).at("code"), "not_a_member");
}

struct finish_connection {
    void operator()(PGconn* conn) const { PQfinish(conn); }
};
struct clear_result {
    void operator()(PGresult* result) const { PQclear(result); }
};

// What is known of a user was said so much later than it was.
bool shift_standing(const std::string& user, std::chrono::seconds later) {
    const std::unique_ptr<PGconn, finish_connection> conn{
        PQconnectdb(required_environment("MANA_TEST_OWNER_URL").c_str())};
    const std::string shift = std::to_string(later.count());
    const char* const values[] = {user.c_str(), shift.c_str()};
    const std::unique_ptr<PGresult, clear_result> result{
        PQexecParams(conn.get(),
                     "update sync_users set spaces_at = spaces_at + $2::interval, "
                     "sync_active_at = sync_active_at + $2::interval where user_id = $1",
                     2, nullptr, values, nullptr, nullptr, 0)};
    return std::string{PQcmdTuples(result.get())} == "1";
}

// As it looks when PostgreSQL's clock was set back by an hour.
bool set_clock_back(const std::string& user) {
    return shift_standing(user, 1h);
}

// What the second worker reads from PostgreSQL was said 25 s ago: it keeps that for five more.
TEST_F(failing_services, who_has_just_paid_goes_on_after_half_a_minute) {
    around.deactivate(user);
    {
        worker_process told{folder, settings};
        ASSERT_TRUE(told.await_ready());
        ASSERT_EQ(pull("").status, 402);
    }
    ASSERT_TRUE(shift_standing(user, -25s));
    around.activate(user);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_EQ(pull("").status, 402) << "it is known for some seconds more";
    EXPECT_TRUE(await([&] { return pull("").status == 200; }));
    EXPECT_EQ(around.asked(billing_path(user)), 2);
}

TEST_F(failing_services, that_a_user_may_sync_is_known_for_longer) {
    {
        worker_process told{folder, settings};
        ASSERT_TRUE(told.await_ready());
        ASSERT_EQ(pull("").status, 200);
    }
    ASSERT_TRUE(shift_standing(user, -4min));
    around.deactivate(user);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_EQ(pull("").status, 200);
    EXPECT_EQ(around.asked(billing_path(user)), 1);
}

TEST_F(failing_services, what_is_kept_for_less_is_asked_again_as_soon) {
    settings["GATE_CACHE"] = "1s";
    around.deactivate(user);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(pull("").status, 402);
    around.activate(user);
    EXPECT_TRUE(await([&] { return pull("").status == 200; }));
}

TEST_F(failing_services, what_was_said_before_the_clock_was_set_back_is_asked_anew) {
    around.join(user, {space});
    {
        worker_process told{folder, settings};
        ASSERT_TRUE(told.await_ready());
        ASSERT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 200);
    }
    ASSERT_TRUE(set_clock_back(user));
    around.join(user, {});
    {
        worker_process worker{folder, settings};
        ASSERT_TRUE(worker.await_ready());
        EXPECT_TRUE(server_changes(json::parse(pull("").body)).empty());
    }
    ASSERT_TRUE(set_clock_back(user));
    around.deactivate(user);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_EQ(pull("").status, 402);
}

TEST_F(failing_services, answers_that_make_no_sense_count_as_none) {
    around.set({{"garbage", {{"billing", true}, {"memberships", true}}}});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_EQ(push({insert_of("t1", {{"n", 1}}, now)}).status, 200);
    EXPECT_TRUE(worker.logs("event=service_answer_unusable service=billing"));
    EXPECT_TRUE(worker.logs("event=service_answer_unusable service=memberships"));
    EXPECT_FALSE(worker.logs("dev-service-key"));
}

// What a service can say about one user that is no answer.
const std::vector<json::value> odd_answers{400, 401, 403, 404, 410, 429, 302, "garbage", "large", "no route"};

TEST_F(failing_services, what_billing_says_of_one_user_lets_nobody_else_in) {
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    for (const auto& odd : odd_answers) {
        const auto odd_user = fresh("odd");
        const auto debtor = fresh("debtor");
        around.fail_for(odd_user, "billing", odd);
        around.deactivate(debtor);
        EXPECT_EQ(pull_of(odd_user, "").status, 200) << odd;
        EXPECT_EQ(pull_of(debtor, "").status, 402) << odd;
    }
    EXPECT_FALSE(worker.logs("event=service_down"));
}

TEST_F(failing_services, what_memberships_say_of_one_user_hides_nobody_elses_spaces) {
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    const std::string since = "2026-01-01T00:00:00.000000Z";
    for (const auto& odd : odd_answers) {
        const auto odd_user = fresh("odd");
        around.fail_for(odd_user, "memberships", odd);
        EXPECT_EQ(pull_of(odd_user, "").status, 200) << odd;
        const auto other = fresh("other");
        ASSERT_EQ(push_of(other, {insert_of("t1", {{"n", 1}}, now)}).status, 200);
        const auto answer = json::parse(pull_of(other, since).body);
        EXPECT_NE(synced_until(answer), since) << "memberships are not known, after " << odd;
    }
    EXPECT_FALSE(worker.logs("event=service_down"));
}

TEST_F(failing_services, a_user_whom_billing_does_not_know_may_sync_and_is_asked_for_once) {
    around.fail_for(user, "billing", 404);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    for (int i = 0; i < 5; ++i) EXPECT_EQ(pull("").status, 200);
    EXPECT_EQ(around.asked(billing_path(user)), 1);
    EXPECT_TRUE(worker.logs("event=service_knows_no_user service=billing"));
}

TEST_F(failing_services, a_user_whom_memberships_do_not_know_is_in_no_space) {
    around.fail_for(user, "memberships", 404);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({insert_of("t0", {{"n", 1}}, now)}).status, 200);
    const std::string since = "2026-01-01T00:00:00.000000Z";
    EXPECT_NE(synced_until(json::parse(pull(since).body)), since) << "that is known, so the cursor moves";
    EXPECT_EQ(around.asked(memberships_path(user)), 1);
    const auto answer = json::parse(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).body);
    EXPECT_EQ(answer.at("rejected").at(0).at("code"), "not_a_member");
}

TEST_F(failing_services, a_404_takes_no_space_away_from_one_who_was_in_spaces) {
    settings["GATE_CACHE"] = "1s";
    around.join(user, {space});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 200);
    around.fail_for(user, "memberships", 404); // as where a version without this route is back
    ASSERT_TRUE(await([&] {
        return server_changes(json::parse(pull("").body)).size() == 1 &&
               worker.logs("event=service_answer_unusable service=memberships");
    }));
    const auto answer = json::parse(push({in_space(update_of("t1", "n", 2, time_from_now()), space)}).body);
    EXPECT_FALSE(answer.as_object().contains("rejected"));
}

TEST_F(failing_services, a_404_of_a_proxy_takes_no_space_away) {
    settings["GATE_CACHE"] = "1s";
    around.join(user, {space});
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    ASSERT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 200);
    around.fail_for(user, "memberships", "no route");
    ASSERT_TRUE(await([&] {
        return server_changes(json::parse(pull("").body)).size() == 1 &&
               worker.logs("event=service_answer_unusable service=memberships");
    }));
    const auto answer = json::parse(push({in_space(update_of("t1", "n", 2, time_from_now()), space)}).body);
    EXPECT_FALSE(answer.as_object().contains("rejected"));
}

TEST_F(failing_services, a_404_of_a_proxy_is_no_answer_of_billing_either) {
    around.fail_for(user, "billing", "no route");
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_EQ(pull("").status, 200);
    EXPECT_TRUE(worker.logs("level=warn event=service_answer_unusable service=billing"));
    EXPECT_FALSE(worker.logs("event=service_knows_no_user"));
    around.fail_for(user, "billing", nullptr); // what was no answer is not handed on to other processes
    around.deactivate(user);
    settings["WORKER_SOCKET"] = folder.file("other.sock");
    settings["WORKER_METRICS"] = folder.file("other.metrics");
    worker_process second{folder, settings};
    ASSERT_TRUE(second.await_ready());
    EXPECT_EQ(pull("").status, 402);
}

TEST_F(failing_services, a_refused_service_key_lets_everyone_in_and_is_told_as_an_error) {
    settings["MANA_SERVICE_KEY"] = "not-the-key";
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    around.deactivate(user);
    EXPECT_EQ(pull("").status, 200);
    EXPECT_EQ(pull_of(fresh("other"), "").status, 200);
    for (const char* const service : {"billing", "memberships"})
        EXPECT_TRUE(worker.logs("level=error event=service_refuses_key service=" + std::string{service} +
                                " reason=\"status 401\" variable=MANA_SERVICE_KEY"))
            << worker.log();
    EXPECT_FALSE(worker.logs("not-the-key"));
    EXPECT_EQ(push({in_space(insert_of("t1", {{"n", 1}}, now), space)}).status, 503)
        << "whether it is the caller's space is not known";
}

TEST_F(failing_services, whoever_is_asked_for_too_often_is_not_asked_for_again_at_once) {
    around.fail_for(user, "billing", 429);
    around.fail_for(user, "memberships", 429);
    worker_process worker{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    const auto began = clock::now();
    for (int i = 0; i < 10; ++i) EXPECT_EQ(pull("").status, 200);
    ASSERT_LT(clock::now() - began, 4s) << "too slow for what is asked here";
    EXPECT_EQ(around.asked(billing_path(user)), 1);
    EXPECT_EQ(around.asked(memberships_path(user)), 1);
}

} // namespace
} // namespace mana::end_to_end
