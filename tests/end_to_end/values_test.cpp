// Values on their way from one device to another, through everything in between: which come back unchanged,
// which are refused alone, which refuse their whole request, and that none of them harms a worker (SPEC §6).

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <boost/json/value_to.hpp>
#include <chrono>
#include <fstream>
#include <gtest/gtest.h>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::size_t nesting = 128;

std::string repeated(std::string_view text, std::size_t times) {
    std::string out;
    for (; times > 0; --times) out += text;
    return out;
}

// Text that no compression makes small, as an index would see it.
std::string noise(std::size_t letters) {
    std::minstd_rand random{1};
    std::string out;
    for (; letters > 0; --letters) out += static_cast<char>('a' + random() % 26);
    return out;
}

// What a client would write, letter by letter: a library between could hide what is lost.
std::string body_of(const std::vector<std::string>& changes) {
    std::string all;
    for (const auto& change : changes) all += (all.empty() ? "" : ",") + change;
    return R"({"since":"","changes":[)" + all + "]}";
}

std::string change_of(std::string_view id, std::string_view rest) {
    return R"({"table":"tasks","id":")" + std::string{id} + "\"," + std::string{rest} + "}";
}

std::string insert_with(std::string_view id, std::string_view members) {
    return change_of(id, R"("op":"insert","data":{)" + std::string{members} + "}");
}

std::string update_with(std::string_view id, std::string_view field, std::string_view value) {
    return change_of(id, R"("op":"update","fields":{)" + std::string{field} + R"(:{"value":)" +
                             std::string{value} + R"(,"at":"2026-01-31T09:00:00.000Z"}})");
}

// An answer without the spaces that jsonb puts between values. Inside strings every letter counts.
std::string without_spaces(const std::string& json) {
    std::string out;
    bool in_string = false;
    for (std::size_t at = 0; at < json.size(); ++at) {
        if (json[at] == '"') in_string = !in_string;
        if (in_string && json[at] == '\\') out += json[at++];
        if (in_string || json[at] != ' ') out += json[at];
    }
    return out;
}

std::set<std::string> ids_of(const http_reply& reply) {
    const auto answer = reply.json();
    std::set<std::string> ids;
    for (const auto& change : server_changes(answer))
        ids.insert(json::value_to<std::string>(change.at("id")));
    return ids;
}

// ---- what comes back unchanged ----

struct kept_value {
    const char* name;
    std::string sent;
    std::string shown; // where jsonb writes the same value in another way; else empty
};

void PrintTo(const kept_value& value, std::ostream* out) {
    *out << value.name;
}

class kept : public testing::TestWithParam<kept_value> {
  protected:
    const std::string token = token_of(fresh("user"));
    device phone{token, "phone"};
    device laptop{token, "laptop"};

    static std::string shown() { return GetParam().shown.empty() ? GetParam().sent : GetParam().shown; }

    void expect_shown(std::string_view change, const std::string& wanted) {
        const auto pushed = phone.push_text(body_of({std::string{change}}));
        ASSERT_EQ(pushed.status, 200) << pushed.body.substr(0, 500);
        ASSERT_EQ(pushed.body.find("rejected"), std::string::npos) << pushed.body.substr(0, 500);
        const auto pulled = without_spaces(laptop.pull("tasks").body);
        EXPECT_NE(pulled.find(without_spaces(wanted)), std::string::npos)
            << wanted.substr(0, 500) << "\nis not in\n"
            << pulled.substr(0, 2'000);
    }
};

TEST_P(kept, in_an_insert) {
    expect_shown(insert_with("r", "\"f\":" + GetParam().sent), "\"f\":" + shown());
}

TEST_P(kept, in_an_update) {
    expect_shown(update_with("r", "\"f\"", GetParam().sent), R"("value":)" + shown());
}

INSTANTIATE_TEST_SUITE_P(
    values, kept,
    testing::Values(
        kept_value{"empty_string", R"("")", {}},
        kept_value{
            "emoji", "\"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7 ok\"", {}},
        kept_value{"escaped_emoji", R"("\ud83d\ude00")", "\"\xf0\x9f\x98\x80\""},
        kept_value{"controls", R"("\b\f\n\r\t\u0001\u001f\"\\")", {}},
        kept_value{"largest_integer", "9223372036854775807", {}},
        kept_value{"smallest_integer", "-9223372036854775808", {}},
        kept_value{"unsigned_integer", "18446744073709551615", {}},
        kept_value{"beyond_what_a_double_tells_apart", "9007199254740993", {}},
        kept_value{"many_digits", "123456789012345678901234567890.000000000000000000001", {}},
        kept_value{"tenth", "0.1", {}}, kept_value{"zero_behind_the_point", "1.50", {}},
        kept_value{"tiny", "1e-300", "0." + repeated("0", 299) + "1"},
        kept_value{"smallest_double", "5e-324", "0." + repeated("0", 323) + "5"},
        kept_value{"huge", "1e308", "1" + repeated("0", 308)}, kept_value{"exponent", "-1.5E+3", "-1500"},
        kept_value{"null", "null", {}}, kept_value{"truth", "[true,false]", {}},
        kept_value{"empty_containers", "[{},[],[[]]]", {}},
        kept_value{"prototype", R"({"__proto__":{"admin":true},"constructor":1})", {}},
        kept_value{"odd_names_inside", R"({"":1,"a\"b":2,"a.b":3,"a\\b":4})", {}},
        kept_value{"deepest_list", repeated("[", nesting) + repeated("]", nesting), {}},
        kept_value{"deepest_object", repeated(R"({"a":)", nesting) + "1" + repeated("}", nesting), {}},
        kept_value{"megabyte", '"' + noise(1'048'576) + '"', {}}),
    [](const auto& of) { return std::string{of.param.name}; });

class kept_name : public testing::TestWithParam<const char*> {};

TEST_P(kept_name, of_a_field) {
    const std::string token = token_of(fresh("user"));
    device phone{token, "phone"};
    device laptop{token, "laptop"};
    const auto pushed =
        phone.push_text(body_of({insert_with("new", GetParam() + std::string{R"(:"inserted")"}),
                                 update_with("old", GetParam(), R"("updated")")}));
    ASSERT_EQ(pushed.status, 200) << pushed.body;
    const auto pulled = without_spaces(laptop.pull("tasks").body);
    // Of an insert it is in `data`, or, where it is a dotted path, in a change of its own.
    const bool as_data = pulled.find(GetParam() + std::string{R"(:"inserted")"}) != std::string::npos;
    const bool as_field = pulled.find(R"("value":"inserted")") != std::string::npos;
    EXPECT_TRUE(as_data || as_field) << pulled;
    EXPECT_NE(pulled.find(R"("fields":{)" + std::string{GetParam()}), std::string::npos) << pulled;
}

TEST_P(kept_name, of_a_record) {
    const std::string name = GetParam();
    if (name == R"("")") return; // which no record has
    const std::string token = token_of(fresh("user"));
    device phone{token, "phone"};
    device laptop{token, "laptop"};
    const auto pushed =
        phone.push_text(body_of({R"({"table":"tasks","id":)" + name + R"(,"op":"insert","data":{"a":1}})"}));
    ASSERT_EQ(pushed.status, 200) << pushed.body;
    EXPECT_NE(laptop.pull("tasks").body.find("\"id\":" + name), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(names, kept_name,
                         testing::Values(R"("__proto__")", R"("constructor")", R"("a.b")", R"("a\"b")",
                                         R"("a\\b")", R"("")", R"(" ")", R"(".")", R"("a..b")",
                                         R"("toString")", "\"\xf0\x9f\x98\x80\"", R"("$1")",
                                         R"("'; drop table sync_changes; --")"));

// ---- what is refused alone ----

struct refused_change {
    const char* name;
    const char* code;
    std::string change;
};

void PrintTo(const refused_change& change, std::ostream* out) {
    *out << change.name;
}

class refused_alone : public testing::TestWithParam<refused_change> {};

TEST_P(refused_alone, while_the_others_land) {
    const std::string token = token_of(fresh("user"));
    device phone{token, "phone"};
    device laptop{token, "laptop"};
    const auto body =
        body_of({insert_with("before", R"("a":1)"), GetParam().change, insert_with("after", R"("a":1)")});
    const auto pushed = phone.push_text(body);
    ASSERT_EQ(pushed.status, 200) << pushed.body.substr(0, 500);
    const auto answer = pushed.json();
    const auto& rejected = answer.at("rejected").as_array();
    ASSERT_EQ(rejected.size(), 1U);
    EXPECT_EQ(rejected[0].at("index"), 1);
    EXPECT_EQ(rejected[0].at("code"), GetParam().code);
    EXPECT_FALSE(rejected[0].at("message").as_string().empty());
    EXPECT_EQ(ids_of(laptop.pull("tasks")), (std::set<std::string>{"after", "before"}));
    EXPECT_EQ(phone.push_text(body).status, 200) << "an old client sends it again";
}

std::string many(std::string_view value, std::size_t times) {
    return '[' + repeated(std::string{value} + ',', times - 1) + std::string{value} + ']';
}

INSTANTIATE_TEST_SUITE_P(
    changes, refused_alone,
    testing::Values(
        refused_change{"nul_in_a_text", "nul_character", insert_with("bad", "\"f\":\"a\\u0000b\"")},
        refused_change{"nul_in_a_key", "nul_character", insert_with("bad", "\"f\":{\"a\\u0000\":1}")},
        refused_change{"nul_in_a_field", "nul_character", update_with("bad", "\"a\\u0000\"", "1")},
        refused_change{"nul_in_the_id", "nul_character", insert_with("bad\\u0000", "")},
        refused_change{"nul_in_the_space", "nul_character",
                       change_of("bad", "\"op\":\"insert\",\"spaceId\":\"\\u0000\",\"data\":{}")},
        refused_change{"nul_in_the_actor", "nul_character",
                       change_of("bad", "\"op\":\"insert\",\"actor\":{\"a\":\"\\u0000\"},\"data\":{}")},
        refused_change{"nul_in_the_origin", "nul_character",
                       change_of("bad", "\"op\":\"insert\",\"origin\":\"\\u0000\",\"data\":{}")},
        refused_change{"beyond_double", "number_out_of_range", insert_with("bad", "\"f\":1e400")},
        refused_change{"beyond_double_below_zero", "number_out_of_range",
                       update_with("bad", "\"f\"", "-1e309")},
        refused_change{"beneath_double", "number_out_of_range", insert_with("bad", "\"f\":1e-400000")},
        refused_change{"exponent_beyond_an_int", "number_out_of_range",
                       insert_with("bad", "\"f\":1e99999999999999999999")},
        refused_change{"zero_with_too_many_digits", "number_out_of_range",
                       insert_with("bad", "\"f\":0e-20000")},
        refused_change{"number_of_a_megabyte", "number_out_of_range",
                       insert_with("bad", "\"f\":1" + repeated("0", 1'000'000))},
        refused_change{"too_deep", "too_deep",
                       update_with("bad", "\"f\"", repeated("[", nesting + 1) + repeated("]", nesting + 1))},
        refused_change{"far_too_deep", "too_deep",
                       insert_with("bad", "\"f\":" + repeated("[", 1'000'000) + repeated("]", 1'000'000))},
        refused_change{"no_time", "malformed_time",
                       change_of("bad", R"("op":"update","fields":{"f":{"value":1,"at":"yesterday"}})")},
        refused_change{"time_that_is_a_number", "malformed_time",
                       change_of("bad", R"("op":"update","fields":{"f":{"value":1,"at":5}})")},
        refused_change{
            "day_that_there_is_not", "malformed_time",
            change_of("bad", R"("op":"update","fields":{"f":{"value":1,"at":"2026-02-30T00:00:00Z"}})")},
        refused_change{
            "year_beyond_four_digits", "malformed_time",
            change_of("bad", R"("op":"update","fields":{"f":{"value":1,"at":"9999-12-31T23:59:59-10:00"}})")},
        refused_change{"deleted_at_no_time", "malformed_time",
                       change_of("bad", R"("op":"delete","deletedAt":true)")},
        refused_change{"field_that_is_no_object", "malformed_field",
                       change_of("bad", R"("op":"update","fields":{"f":1})")},
        refused_change{"data_that_is_a_list", "malformed_field",
                       change_of("bad", R"("op":"insert","data":[])")},
        refused_change{"insert_of_nothing", "malformed_field", change_of("bad", R"("op":"insert")")},
        refused_change{"update_of_nothing", "malformed_field", change_of("bad", R"("op":"update")")},
        refused_change{"origin_that_is_no_text", "malformed_field",
                       change_of("bad", R"("op":"insert","origin":1,"data":{})")},
        refused_change{"long_id", "too_long", insert_with(noise(1'048'576), "")},
        refused_change{"long_table", "too_long",
                       R"({"table":")" + noise(1'048'576) + R"(","id":"bad","op":"delete"})"},
        refused_change{"long_space", "too_long",
                       change_of("bad", R"("op":"insert","data":{"spaceId":")" + noise(3'000) + "\"}")},
        refused_change{"numbers_that_grow", "too_large",
                       insert_with("bad", "\"f\":" + many("1e308", 40'000))},
        refused_change{"zeros_that_grow", "too_large",
                       insert_with("bad", "\"f\":" + many("0e-16383", 2'000))}),
    [](const auto& of) { return std::string{of.param.name}; });

// ---- what refuses the whole request ----

struct refused_body {
    const char* name;
    const char* code;
    const char* named; // in the message
    std::string change;
};

void PrintTo(const refused_body& body, std::ostream* out) {
    *out << body.name;
}

class refused_whole : public testing::TestWithParam<refused_body> {};

TEST_P(refused_whole, and_nothing_is_stored) {
    const std::string token = token_of(fresh("user"));
    device phone{token, "phone"};
    device laptop{token, "laptop"};
    const auto pushed = phone.push_text(body_of({insert_with("before", R"("a":1)"), GetParam().change}));
    EXPECT_EQ(pushed.status, 400);
    EXPECT_EQ(pushed.error_code(), GetParam().code) << pushed.body;
    EXPECT_NE(pushed.body.find(GetParam().named), std::string::npos) << pushed.body;
    EXPECT_TRUE(ids_of(laptop.pull("tasks")).empty());
}

INSTANTIATE_TEST_SUITE_P(
    bodies, refused_whole,
    testing::Values(
        refused_body{"no_table", "invalid_change", "changes[1].table", R"({"id":"r","op":"insert"})"},
        refused_body{"empty_table", "invalid_change", "changes[1].table",
                     R"({"table":"","id":"r","op":"insert"})"},
        refused_body{"no_id", "invalid_change", "changes[1].id", R"({"table":"tasks","op":"insert"})"},
        refused_body{"id_that_is_a_number", "invalid_change", "changes[1].id",
                     R"({"table":"tasks","id":7,"op":"insert"})"},
        refused_body{"wrong_op", "invalid_change", "changes[1].op", change_of("r", R"("op":"upsert")")},
        refused_body{"no_op", "invalid_change", "changes[1].op", change_of("r", R"("data":{})")},
        refused_body{"no_object", "invalid_change", "changes[1]", "7"},
        refused_body{"newer_schema", "unsupported_schema_version", "changes[1].schemaVersion",
                     change_of("r", R"("op":"insert","schemaVersion":2)")},
        refused_body{"odd_schema", "invalid_schema_version", "changes[1].schemaVersion",
                     change_of("r", R"("op":"insert","schemaVersion":"1")")},
        refused_body{"no_json", "invalid_json", "at byte", "{"},
        refused_body{"no_utf8", "invalid_json", "at byte", insert_with("r", "\"f\":\"\xff\"")},
        refused_body{"raw_control", "invalid_json", "at byte", insert_with("r", "\"f\":\"\x01\"")},
        refused_body{"not_a_number", "invalid_json", "at byte", insert_with("r", "\"f\":NaN")}),
    [](const auto& of) { return std::string{of.param.name}; });

// ---- what is left of a worker ----

std::vector<std::string> hostile_bodies() {
    std::vector<std::string> bodies{
        "",
        "{",
        "\xff\xfe",
        std::string(1'000'000, ' '),
        repeated("[", 1'000'000),
        repeated("{\"a\":", 500'000),
        '"' + repeated("\\ud800", 200'000) + '"',
        "{\"changes\":" + many("0", 300'000) + "}",
        "{\"changes\":" + many("{}", 100'000) + "}",
        body_of({insert_with("r", "\"f\":" + repeated("[", 500'000) + repeated("]", 500'000))}),
        body_of({insert_with("r", "\"f\":" + many("1e308", 40'000))}),
        body_of({insert_with("r", "\"f\":\"" + repeated("\\u0000", 100'000) + '"')}),
        body_of({insert_with("r", "\"f\":1" + repeated("0", 1'000'000))}),
        body_of(std::vector<std::string>(2'000, change_of("r", R"("op":"update","fields":{"f":1})"))),
        body_of({update_with("r", '"' + repeated("a.", 2'000) + '"', "1")}),
        body_of({update_with("r", "\"a" + repeated(".b", 200'000) + '"', "1")}),
        body_of({insert_with("r", "\"f\":1e99999999999999999999")})};
    std::string names;
    for (int i = 0; i < 50'000; ++i) names += (names.empty() ? "\"" : ",\"") + std::to_string(i) + "\":0";
    bodies.push_back(R"({"changes":[],"unknown":{)" + names + "}}");
    return bodies;
}

std::size_t resident_kilobytes(pid_t pid) {
    std::ifstream statm{"/proc/" + std::to_string(pid) + "/statm"};
    std::size_t all = 0;
    std::size_t resident = 0;
    statm >> all >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) / 1024;
}

// One worker of its own, so that all requests meet the same process.
class hostile_requests : public testing::Test {
  protected:
    scratch_folder folder;
    worker_process master{folder, worker_settings(folder)};
    const std::string token = token_of(fresh("user"));
    const std::vector<std::string> bodies = hostile_bodies();

    fastcgi_reply push(std::string_view body) {
        constexpr std::size_t most_in_a_record = 65'535;
        fastcgi_request request{master.socket()};
        request.send_head({{"REQUEST_METHOD", "POST"},
                           {"DOCUMENT_URI", "/sync/todo"},
                           {"HTTP_AUTHORIZATION", "Bearer " + token},
                           {"CONTENT_LENGTH", std::to_string(body.size())}});
        for (; !body.empty(); body.remove_prefix(std::min(body.size(), most_in_a_record)))
            request.send_body(body.substr(0, most_in_a_record));
        request.end_body();
        return request.receive();
    }

    fastcgi_reply pull(const std::string& query, const std::string& as) {
        return ask(master.socket(), "GET", "/sync/todo/pull", as, "", {{"QUERY_STRING", query}});
    }

    // A body, a token and two queries, others each time.
    void send(std::size_t number) {
        const std::string since = "&since=9999-12-31T23:59:59-23:59";
        const std::vector<fastcgi_reply> replies{
            push(bodies[number % bodies.size()]),
            pull("collection=a&since=", token.substr(0, number % token.size())),
            pull("collection=%00&since=%ff&" + noise(number), token),
            pull("collection=" + noise(number + 1) + since, token)};
        for (const auto& reply : replies) {
            EXPECT_GE(reply.status, 200) << number;
            EXPECT_LT(reply.status, 500) << number << ' ' << reply.body;
        }
    }

    // The middle of many, since others are at work on this machine.
    std::chrono::microseconds time_of_a_push() {
        constexpr std::size_t pushes = 41;
        const auto body = body_of({update_with("mine", "\"f\"", "1")});
        std::vector<std::chrono::microseconds> took;
        while (took.size() < pushes) {
            const auto began = std::chrono::steady_clock::now();
            EXPECT_EQ(push(body).status, 200);
            took.push_back(std::chrono::duration_cast<std::chrono::microseconds>(
                std::chrono::steady_clock::now() - began));
        }
        std::ranges::nth_element(took, took.begin() + pushes / 2);
        return took[pushes / 2];
    }
};

// Each is as large as a record may be, and a push of a kilobyte would have all of them read.
TEST_F(hostile_requests, that_touch_more_than_a_worker_can_hold_are_refused_whole) {
    ASSERT_TRUE(master.await_ready());
    const std::string large = '"' + std::string(9'000'000, 'x') + '"';
    std::vector<std::string> touching;
    for (const auto* id : {"1", "2", "3", "4", "5", "6", "7", "8"}) {
        ASSERT_EQ(push(body_of({update_with(id, "\"large\"", large)})).status, 200);
        touching.push_back(update_with(id, "\"small\"", "1"));
    }
    const auto refused = push(body_of(touching));
    EXPECT_EQ(refused.status, 413) << refused.body;
    EXPECT_NE(refused.body.find("records_too_large"), std::string::npos) << refused.body;
    EXPECT_NE(refused.body.find("send fewer changes at a time"), std::string::npos) << refused.body;
    touching.resize(6);
    EXPECT_EQ(push(body_of(touching)).status, 200) << "fewer at a time fit";
}

TEST_F(hostile_requests, leave_a_worker_as_it_was) {
    constexpr std::size_t first = 25; // times four requests
    constexpr std::size_t all = 500;
    constexpr std::size_t most_growth_kilobytes = 4'096;
    ASSERT_TRUE(master.await_ready());
    const auto workers = master.workers();
    ASSERT_EQ(workers.size(), 1U);

    for (std::size_t i = 0; i < first; ++i) send(i);
    const auto memory = resident_kilobytes(workers[0]);
    const auto time = time_of_a_push();
    for (std::size_t i = first; i < all; ++i) send(i);

    EXPECT_EQ(master.workers(), workers) << "the worker was replaced: " << master.log();
    EXPECT_LT(resident_kilobytes(workers[0]), memory + most_growth_kilobytes);
    EXPECT_LT(time_of_a_push(), 3 * time + 2ms);
}

} // namespace
} // namespace mana::end_to_end
