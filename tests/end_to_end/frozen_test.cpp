// Neighbours that are stopped as they are (SIGSTOP) and go on later: PostgreSQL, Redis, and the service that
// plays keys, billing and memberships. Nobody waits longer than the deadline, and all goes on by itself.

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/frozen.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto deadline_of_a_request = 2s; // STATEMENT_TIMEOUT and a second
constexpr auto margin = 1s;                // this host has other things to do

class frozen_neighbours : public testing::Test {
  protected:
    frozen_neighbours() {
        settings["STATEMENT_TIMEOUT"] = "1s";
        settings["MANA_CREDITS_URL"] = required_environment("MANA_TEST_IDENTITY_URL");
        settings["MANA_AUTH_URL"] = required_environment("MANA_TEST_IDENTITY_URL");
    }

    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
    const std::string user = fresh("user");
    const std::string token = token_of(user);
    int pushed = 0;

    fastcgi_reply push_as(const std::string& who, const std::string& id) {
        const auto change = insert_of(id, {{"n", 1}}, "2026-01-31T09:00:00.000Z");
        return ask(settings["WORKER_SOCKET"], "POST", "/sync/todo", who,
                   json::serialize(json::object{{"since", ""}, {"changes", json::array{change}}}));
    }
    fastcgi_reply push(const std::string& id) { return push_as(token, id); }
    fastcgi_reply pull() {
        return ask(settings["WORKER_SOCKET"], "GET", "/sync/todo/pull", token, "",
                   {{"QUERY_STRING", "collection=tasks&since="}});
    }
    // The records in the log, one name for each row.
    std::multiset<std::string> rows() {
        std::multiset<std::string> names;
        const auto page = json::parse(pull().body);
        for (const auto& change : page.at("serverChanges").as_array())
            names.emplace(change.at("id").as_string().c_str());
        return names;
    }
    template<class Ask>
    static std::chrono::milliseconds time_of(Ask ask) {
        const auto began = clock::now();
        ask();
        return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - began);
    }
};

TEST_F(frozen_neighbours, postgresql_costs_a_request_its_deadline_and_few_of_the_next_more_than_a_moment) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push("before").status, 200);
    std::vector<std::chrono::milliseconds> times;
    {
        frozen postgresql{"postgres"};
        for (int i = 0; i < 6; ++i) {
            fastcgi_reply reply;
            times.push_back(time_of([&] { reply = push("during"); }));
            EXPECT_EQ(reply.status, 503) << reply.body;
            EXPECT_EQ(reply.headers.at("Retry-After"), "1");
            EXPECT_LT(times.back(), deadline_of_a_request + margin);
        }
    }
    const auto quick = std::ranges::count_if(times, [](auto took) { return took < 200ms; });
    EXPECT_GE(quick, 3) << testing::PrintToString(times);
    // The client tries again, as it was told: whatever became of the first time, there is one row.
    ASSERT_TRUE(await([&] { return push("during").status == 200; }));
    EXPECT_EQ(rows(), (std::multiset<std::string>{"before", "during"}));
    EXPECT_FALSE(master.logs("worker_killed") || master.logs("worker_died")) << master.log();
}

TEST_F(frozen_neighbours, redis_fails_no_push_and_delays_one_by_little) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push("before").status, 200);
    std::vector<std::chrono::milliseconds> times;
    {
        frozen redis{"redis"};
        for (int i = 0; i < 5; ++i) {
            times.push_back(time_of([&] { EXPECT_EQ(push("during" + std::to_string(i)).status, 200); }));
            EXPECT_LT(times.back(), 500ms + margin);
        }
    }
    const auto quick = std::ranges::count_if(times, [](auto took) { return took < 200ms; });
    EXPECT_GE(quick, 3) << testing::PrintToString(times);
    EXPECT_EQ(push("after").status, 200);
    EXPECT_EQ(rows().size(), 7U);
}

TEST_F(frozen_neighbours, billing_lets_users_in_and_memberships_show_them_their_own) {
    settings["STATEMENT_TIMEOUT"] = "3s"; // each of the two is waited for once, a second
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    std::vector<std::string> strangers; // of whom nothing is remembered
    for (int i = 0; i < 4; ++i) strangers.push_back(token_of(fresh("user")));
    ASSERT_EQ(push("before").status, 200);
    std::vector<std::chrono::milliseconds> times;
    {
        frozen services{"identity"};
        EXPECT_LT(time_of([&] { EXPECT_EQ(push("during").status, 200); }), margin) << "of whom all is known";
        for (const auto& stranger : strangers) {
            times.push_back(time_of([&] { EXPECT_EQ(push_as(stranger, "t1").status, 200); }));
            EXPECT_LT(times.back(), 4s);
        }
    }
    const auto quick = std::ranges::count_if(times, [](auto took) { return took < 200ms; });
    EXPECT_GE(quick, 3) << testing::PrintToString(times);
    EXPECT_EQ(rows(), (std::multiset<std::string>{"before", "during"}));
}

TEST_F(frozen_neighbours,
       an_issuer_whose_keys_are_known_is_not_missed_and_one_whose_are_not_is_waited_for_briefly) {
    worker_process known{folder, settings};
    ASSERT_TRUE(known.await_ready());
    ASSERT_EQ(push("before").status, 200);
    scratch_folder empty;
    auto without_keys = worker_settings(empty);
    without_keys["STATEMENT_TIMEOUT"] = "1s";
    {
        frozen issuer{"identity"};
        EXPECT_EQ(push("during").status, 200);
        worker_process unknown{empty, without_keys};
        ASSERT_TRUE(unknown.await_ready()) << unknown.log();
        fastcgi_reply reply;
        const auto took = time_of([&] {
            reply = ask(unknown.socket(), "GET", "/sync/todo/pull", token, "",
                        {{"QUERY_STRING", "collection=tasks&since="}});
        });
        EXPECT_EQ(reply.status, 503);
        EXPECT_LT(took, 4s);
        issuer.thaw();
        ASSERT_TRUE(await(
            [&] {
                return ask(unknown.socket(), "GET", "/sync/todo/pull", token, "",
                           {{"QUERY_STRING", "collection=tasks&since="}})
                           .status == 200;
            },
            15s));
    }
}

// ---- the hub of the stack ----

json::value health() {
    http_client hub{required_environment("MANA_TEST_URL")};
    const auto began = clock::now();
    const auto reply = hub.get("/health");
    EXPECT_LT(clock::now() - began, margin) << "health waits for nobody";
    EXPECT_EQ(reply.status, 200);
    return reply.json();
}

TEST(frozen_neighbours_of_the_hub, are_told_of_by_health_and_come_back_by_themselves) {
    ASSERT_EQ(health().at("postgres"), "up");
    ASSERT_EQ(health().at("redis"), "up");
    {
        frozen postgresql{"postgres"};
        EXPECT_TRUE(await([] { return health().at("postgres") == "down"; }));
    }
    EXPECT_TRUE(await([] { return health().at("postgres") == "up"; }));
    {
        frozen redis{"redis"};
        EXPECT_TRUE(await([] { return health().at("redis") == "down"; }, 15s));
    }
    EXPECT_TRUE(await([] { return health().at("redis") == "up"; }));
}

} // namespace
} // namespace mana::end_to_end
