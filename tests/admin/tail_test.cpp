// tail: one line for each notification.
#include "shared/store/redis.hpp"
#include "tests/admin/admin_program.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/own_parts.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <csignal>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <sstream>

namespace mana::tests {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using end_to_end::device;
using end_to_end::fresh;
using end_to_end::insert_of;
using end_to_end::time_from_now;
using end_to_end::token_of;
using testing::HasSubstr;
using testing::Not;

auto holds(const std::string& text) {
    return [text](const std::string& written) { return written.find(text) != std::string::npos; };
}

class tailing : public testing::Test {
  protected:
    const std::string user = fresh("user");
    device phone{token_of(user), "phone"};

    void push(device& from, const std::string& id) {
        ASSERT_EQ(from.push({insert_of(id, {{"n", 1}}, time_from_now())}).status, 200);
    }
};

TEST_F(tailing, prints_a_push_and_ends_with_ctrl_c) {
    running_admin tail{{"tail", user}};
    ASSERT_TRUE(tail.await_error(holds("listening")));
    push(phone, "t1");
    ASSERT_TRUE(tail.await_output(holds("\n"))) << tail.out();
    EXPECT_THAT(tail.out(), HasSubstr(" scope=u:" + user + " user=" + user +
                                      " app=todo tables=tasks client=phone count=1 cursor=2"));
    tail.signal(SIGINT);
    EXPECT_EQ(tail.await_end(), 0);
}

TEST(tail_of_another_redis, leaves_one_that_is_no_master_any_more) {
    const end_to_end::scratch_folder folder;
    end_to_end::own_redis redis{folder, "redis"};
    running_admin tail{{"tail"}, {{"REDIS_URL", redis.url()}}};
    ASSERT_TRUE(tail.await_error(holds("listening")));
    redis.ask({"REPLICAOF", "127.0.0.1", "1"});
    EXPECT_TRUE(tail.await_error(holds("it is a replica")));
    redis.ask({"REPLICAOF", "NO", "ONE"});
    EXPECT_TRUE(tail.await_error(holds("Redis is back")));
}

// A push that was told to channel and stream at two moments: the two differ in publishedAt.
TEST(tail_of_another_redis, prints_what_is_in_the_stream_and_comes_by_channel_once) {
    const end_to_end::scratch_folder folder;
    end_to_end::own_redis redis{folder, "redis"};
    const auto told = [](const std::string& published) {
        return R"({"v":1,"scope":"u:ann","user":"ann","app":"todo","tables":["t"],"client":"c","count":1,)"
               R"("cursor":"2026-01-31T09:00:00.000001Z","publishedAt":"2026-01-31T09:00:0)" +
               published + R"(.000000Z"})";
    };
    redis.ask({"XADD", "mana-sync:1:log", "*", "n", told("1")});
    running_admin tail{{"tail", "--since-start"}, {{"REDIS_URL", redis.url()}}};
    ASSERT_TRUE(tail.await_output(holds("cursor=")));
    redis.ask({"PUBLISH", "mana-sync:1:06", told("2")});
    redis.ask({"PUBLISH", "mana-sync:1:06",
               R"({"v":1,"scope":"u:ann","user":"ann","app":"last","tables":["t"],"client":"c","count":1,)"
               R"("cursor":"2026-01-31T09:00:00.000002Z"})"});
    ASSERT_TRUE(tail.await_output(holds("app=last")));
    EXPECT_EQ(tail.out().find("app=todo"), tail.out().rfind("app=todo")) << tail.out();
}

TEST_F(tailing, leaves_out_other_users_and_apps) {
    running_admin tail{{"tail", user, "--app", "todo"}};
    ASSERT_TRUE(tail.await_error(holds("listening")));
    device other{token_of(fresh("other")), "phone"};
    push(other, "t1");
    device other_app{token_of(user), "phone", "notes"};
    push(other_app, "t1");
    push(phone, "t1"); // the last: whatever was told before it has arrived by then
    ASSERT_TRUE(tail.await_output(holds("app=todo")));
    EXPECT_EQ(tail.out().find('\n'), tail.out().size() - 1) << tail.out();
}

// Of all subscribers the one that came last.
void cut_newest_subscriber() {
    const auto redis = store::connect_redis(
        store::parse_redis_url(end_to_end::required_environment("MANA_TEST_REDIS_URL")), 2s);
    ASSERT_TRUE(redis) << redis.error();
    const store::redis_reply list{
        static_cast<redisReply*>(redisCommand(redis->get(), "CLIENT LIST TYPE pubsub"))};
    std::istringstream lines{std::string{list->str, list->len}};
    long newest = 0;
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("id=")) newest = std::max(newest, std::stol(line.substr(3)));
    const store::redis_reply done{
        static_cast<redisReply*>(redisCommand(redis->get(), "CLIENT KILL ID %ld", newest))};
    ASSERT_EQ(done->integer, 1);
}

TEST_F(tailing, goes_on_when_redis_is_back) {
    running_admin tail{{"tail", user}};
    ASSERT_TRUE(tail.await_error(holds("listening")));
    cut_newest_subscriber();
    ASSERT_TRUE(tail.await_error(holds("trying again")));
    ASSERT_TRUE(tail.await_error(holds("Redis is back")));
    push(phone, "t1");
    EXPECT_TRUE(tail.await_output(holds("client=phone"))) << tail.out();
}

TEST_F(tailing, begins_with_what_the_stream_holds) {
    push(phone, "t1");
    running_admin tail{{"tail", user, "--since-start", "--json"}};
    ASSERT_TRUE(tail.await_output(holds("\n")));
    push(phone, "t2");
    ASSERT_TRUE(tail.await_output(
        [](const std::string& out) { return std::count(out.begin(), out.end(), '\n') >= 2; }));
    const auto first = json::parse(tail.out().substr(0, tail.out().find('\n')));
    EXPECT_EQ(first.at("user"), json::value(user));
    EXPECT_EQ(first.at("v"), 1);
    EXPECT_EQ(std::count(tail.out().begin(), tail.out().end(), '\n'), 2);
}

} // namespace
} // namespace mana::tests
