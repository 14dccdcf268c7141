// A synchronous standby is gone: pushes are not acknowledged, and whoever gave up waiting leaves nothing
// behind.

#include "tests/end_to_end/absent_standby.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <future>
#include <gtest/gtest.h>
#include <string>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

class standby : public testing::Test {
  protected:
    standby() {
        settings["STATEMENT_TIMEOUT"] = "1s"; // a request has two
        settings["MANA_CREDITS_URL"] = required_environment("MANA_TEST_IDENTITY_URL");
        settings["MANA_AUTH_URL"] = required_environment("MANA_TEST_IDENTITY_URL");
    }

    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
    const std::string token = token_of(fresh("user"));
    const database_keeper keeper;

    fastcgi_reply push(const json::object& change) {
        return ask(settings["WORKER_SOCKET"], "POST", "/sync/todo", token,
                   json::serialize(json::object{{"since", ""}, {"changes", json::array{change}}}));
    }
    fastcgi_reply pull_as(const std::string& who) {
        return ask(settings["WORKER_SOCKET"], "GET", "/sync/todo/pull", who, "",
                   {{"QUERY_STRING", "collection=tasks&since="}});
    }
    // Rows of the log, as the user sees them; none where they cannot be read.
    std::size_t rows() {
        const auto reply = pull_as(token);
        return reply.status == 200 ? json::parse(reply.body).at("serverChanges").as_array().size() : 0;
    }
};

json::object task(const std::string& id) {
    return insert_of(id, {{"n", 1}}, "2026-01-31T09:00:00.000Z");
}

TEST_F(standby, that_is_gone_keeps_no_backend_of_a_push_that_gave_up) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push(task("before")).status, 200);
    const absent_standby gone;
    for (int i = 0; i < 4; ++i) {
        const auto reply = push(task("during" + std::to_string(i)));
        EXPECT_EQ(reply.status, 503) << reply.body;
        EXPECT_EQ(reply.headers.at("Retry-After"), "1");
    }
    EXPECT_TRUE(await([&] { return keeper.waiting_for_a_standby() == 0; }, 5s))
        << keeper.waiting_for_a_standby() << " backends wait";
    EXPECT_TRUE(master.logs("COMMIT was under way")) << master.log();
}

TEST_F(standby, that_is_gone_lets_no_second_try_be_acknowledged_for_what_it_lacks) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push(task("before")).status, 200);
    {
        const absent_standby gone;
        EXPECT_EQ(push(task("during")).status, 503);
        ASSERT_TRUE(await([&] { return rows() == 2; }, 5s)) << "it is stored here, and only here";
        EXPECT_EQ(push(task("during")).status, 503) << "the standby has nothing of it";
    }
    EXPECT_EQ(push(task("during")).status, 200);
    EXPECT_EQ(rows(), 2U) << "whatever became of the first time, there is one row";
}

TEST_F(standby, that_is_gone_is_not_forgotten_where_an_operator_ends_the_waiting) {
    settings["STATEMENT_TIMEOUT"] = "10s";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push(task("before")).status, 200);
    {
        const absent_standby gone;
        auto reply = std::async(std::launch::async, [&] { return push(task("during")); });
        const std::string end_waiting =
            "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'";
        EXPECT_TRUE(await([&] { return keeper.ask(end_waiting) == "t"; })) << "the push does not wait";
        EXPECT_EQ(reply.get().status, 503) << "the standby has nothing of it";
    }
    for (const char* const id : {"during", "after", "later"}) EXPECT_EQ(push(task(id)).status, 200);
    EXPECT_EQ(rows(), 4U) << "each answer is that of its own question";
}

TEST_F(standby, that_is_gone_keeps_no_backend_of_a_worker_that_was_killed) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push(task("before")).status, 200);
    const absent_standby gone;
    auto reply = std::async(std::launch::async, [&] { return push(task("during")); });
    EXPECT_TRUE(await([&] { return keeper.waiting_for_a_standby() > 0; })) << "the push does not wait";
    for (const pid_t worker : master.workers()) ::kill(worker, SIGKILL);
    (void)reply.wait_for(10s);
    EXPECT_TRUE(await([&] { return keeper.waiting_for_a_standby() == 0; }, 25s)) << "a hub looks for it";
}

TEST_F(standby, that_is_gone_is_not_missed_by_who_only_reads) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push(task("before")).status, 200);
    const absent_standby gone;
    EXPECT_EQ(pull_as(token).status, 200);
    EXPECT_EQ(pull_as(token_of(fresh("stranger"))).status, 200)
        << "what services said of a user is kept here";
}

TEST_F(standby, that_is_gone_is_named_by_health_as_the_cause) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto postgres = [] {
        http_client hub{required_environment("MANA_TEST_URL")};
        return std::string{hub.get("/health").json().at("postgres").as_string()};
    };
    ASSERT_TRUE(await([&] { return postgres() == "up"; }));
    {
        const absent_standby gone;
        EXPECT_EQ(push(task("during")).status, 503);
        EXPECT_TRUE(await([&] { return postgres() == "standby_missing"; })) << postgres();
    }
    EXPECT_TRUE(await([&] { return postgres() == "up"; }, 20s)) << postgres();
}

} // namespace
} // namespace mana::end_to_end
