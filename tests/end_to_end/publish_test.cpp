// What a push tells Redis: one message on the channel of its scope, and one entry of the stream
// (docs/protocol.md).

#include "shared/store/notification.hpp"
#include "shared/store/redis.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <fstream>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <iterator>
#include <string>
#include <vector>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

store::redis_context redis_with_patience(std::chrono::milliseconds patience) {
    auto connected =
        store::connect_redis(store::parse_redis_url(required_environment("MANA_TEST_REDIS_URL")), patience);
    if (!connected) throw std::runtime_error{connected.error()};
    return std::move(*connected);
}

std::string text_of(const redisReply* reply) {
    return reply != nullptr && reply->str != nullptr
               ? std::string{reply->str, static_cast<std::size_t>(reply->len)}
               : "";
}

// Has subscribed when the constructor returns.
class subscriber {
  public:
    explicit subscriber(const std::string& channel) : redis_{redis_with_patience(2s)} {
        const store::redis_reply done{
            static_cast<redisReply*>(redisCommand(redis_.get(), "SUBSCRIBE %s", channel.c_str()))};
        if (!done || done->type == REDIS_REPLY_ERROR) throw std::runtime_error{"cannot subscribe"};
    }

    // All messages about the user until none came for `patience`; other tests' users may share the channel.
    std::vector<std::string> messages_about(const std::string& user, std::size_t expected) {
        std::vector<std::string> about;
        void* raw = nullptr;
        while (about.size() < expected && redisGetReply(redis_.get(), &raw) == REDIS_OK) {
            const store::redis_reply reply{static_cast<redisReply*>(raw)};
            if (reply->elements != 3) continue;
            const auto payload = text_of(reply->element[2]);
            if (payload.find('"' + user + '"') != std::string::npos) about.push_back(payload);
        }
        return about;
    }

  private:
    store::redis_context redis_;
};

std::vector<std::string> stream_entries_about(const std::string& user) {
    const auto redis = redis_with_patience(5s);
    const store::redis_reply reply{
        static_cast<redisReply*>(redisCommand(redis.get(), "XREVRANGE mana-sync:1:log + - COUNT 1000"))};
    std::vector<std::string> about;
    if (!reply) return about;
    for (std::size_t i = 0; i < reply->elements; ++i) {
        const redisReply& pairs = *reply->element[i]->element[1];
        EXPECT_EQ(pairs.elements, 2U);
        EXPECT_EQ(text_of(pairs.element[0]), "n");
        const auto payload = text_of(pairs.element[1]);
        if (payload.find('"' + user + '"') != std::string::npos) about.push_back(payload);
    }
    return about;
}

std::string content_of(const std::string& file) {
    std::ifstream in{file};
    return {std::istreambuf_iterator<char>{in}, {}};
}

class publishing : public testing::Test {
  protected:
    const std::string user = fresh("user");
    device phone{token_of(user), "phone"};
    subscriber listener{store::channel_of("u:" + user)};
    const std::string now = time_from_now(-1s);
};

TEST_F(publishing, a_push_is_told_once_on_the_channel_of_its_scope_and_once_in_the_stream) {
    auto other_table = insert_of("l1", {{"title", "groceries"}}, now);
    other_table["table"] = "lists";
    const auto reply =
        phone.push({insert_of("t1", {{"n", 1}}, now), insert_of("t2", {{"n", 2}}, now), other_table});
    ASSERT_EQ(reply.status, 200) << reply.body;

    const auto messages = listener.messages_about(user, 1);
    ASSERT_EQ(messages.size(), 1U);
    const auto told = json::parse(messages[0]);
    EXPECT_EQ(told.at("v"), 1);
    EXPECT_EQ(told.at("scope"), json::value("u:" + user));
    EXPECT_EQ(told.at("user"), json::value(user));
    EXPECT_EQ(told.at("app"), "todo");
    EXPECT_EQ(told.at("tables"), (json::array{"lists", "tasks"}));
    EXPECT_EQ(told.at("client"), "phone");
    EXPECT_EQ(told.at("count"), 3);
    EXPECT_EQ(told.at("cursor"), json::value(synced_until(reply.json())));
    EXPECT_EQ(stream_entries_about(user), messages);
}

TEST_F(publishing, a_push_is_told_with_the_id_that_its_answer_and_the_log_of_nginx_have) {
    const auto reply = phone.push({insert_of("t1", {{"n", 1}}, now)});
    ASSERT_EQ(reply.status, 200);
    const auto messages = listener.messages_about(user, 1);
    ASSERT_EQ(messages.size(), 1U);
    const auto id = json::value_to<std::string>(json::parse(messages[0]).at("request"));
    EXPECT_EQ(reply.header("x-request-id"), id);
    const auto log = required_environment("MANA_TEST_RUN_DIR") + "/log/nginx-access.log";
    EXPECT_TRUE(await([&] { return content_of(log).find(" id=" + id) != std::string::npos; })) << id;
}

TEST_F(publishing, a_push_that_changes_nothing_is_not_told) {
    const json::array changes{insert_of("t1", {{"n", 1}}, now)};
    ASSERT_EQ(phone.push(changes).status, 200);
    ASSERT_EQ(phone.push(changes).status, 200);
    ASSERT_EQ(phone.push({}).status, 200);
    // The last push marks the end: whatever was told before it has arrived by then.
    ASSERT_EQ(phone.push({insert_of("t2", {{"n", 2}}, now)}).status, 200);
    const auto messages = listener.messages_about(user, 2);
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_EQ(json::parse(messages[1]).at("count"), 1);
    EXPECT_EQ(stream_entries_about(user).size(), 2U);
}

} // namespace
} // namespace mana::end_to_end
