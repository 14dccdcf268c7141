// The contract of what Redis carries: payloads, channels, and where Redis is (docs/protocol.md).
#include "shared/store/notification.hpp"
#include "shared/store/publisher.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace mana::store {
namespace {

notification sample() {
    return {.scope = "u:ann",
            .user = "ann",
            .app = "todo",
            .tables = {"lists", "tasks"},
            .client = "phone",
            .count = 3,
            .cursor = "2026-01-31T09:00:00.123456Z"};
}

// Payloads.

TEST(notification_json, is_the_documented_text) {
    EXPECT_EQ(to_json(sample()),
              R"({"v":1,"scope":"u:ann","user":"ann","app":"todo","tables":["lists","tasks"],)"
              R"("client":"phone","count":3,"cursor":"2026-01-31T09:00:00.123456Z"})");
}

TEST(notification_json, comes_back_as_it_went) {
    notification told = sample();
    told.user = "a\"\\\n\x01\u00e9\U0001F600";
    told.client.clear();
    told.request = "4f3a";
    told.tables.clear();
    const auto read = parse_notification(to_json(told));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->scope, told.scope);
    EXPECT_EQ(read->user, told.user);
    EXPECT_EQ(read->app, told.app);
    EXPECT_EQ(read->tables, told.tables);
    EXPECT_EQ(read->client, told.client);
    EXPECT_EQ(read->count, told.count);
    EXPECT_EQ(read->cursor, told.cursor);
    EXPECT_EQ(read->request, told.request);
}

TEST(notification_json, ignores_unknown_keys) {
    std::string text = to_json(sample());
    text.insert(1, R"("later":{"x":[1]},)");
    EXPECT_TRUE(parse_notification(text));
}

TEST(notification_tables, are_cut_where_they_are_too_many) {
    std::vector<std::string> tables;
    for (int i = 100; i < 180; ++i) tables.push_back("table " + std::to_string(i) + std::string(190, 'x'));
    const auto all = tables;
    shorten(tables);
    EXPECT_EQ(tables, all) << "80 names of 199 bytes";
    tables.push_back("table 180" + std::string(190, 'x'));
    shorten(tables);
    ASSERT_EQ(tables.size(), 81U);
    EXPECT_EQ(tables.front(), any_table);
    EXPECT_EQ(std::vector(tables.begin() + 1, tables.end()), all);
}

TEST(notification_json_error, names_what_is_wrong) {
    const std::string good = to_json(sample());
    const auto with = [&good](const std::string& part, const std::string& instead) {
        std::string text = good;
        return text.replace(text.find(part), part.size(), instead);
    };
    const std::vector<std::pair<std::string, std::string>> cases{
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[]", "not a JSON object"},
        {"{}", "version"},
        {with(R"("v":1)", R"("v":2)"), "version"},
        {with(R"("v":1)", R"("v":"1")"), "version"},
        {with(R"("u:ann")", "1"), R"("scope")"},
        {with(R"("u:ann")", R"("")"), R"("scope")"},
        {with(R"("user":"ann",)", ""), R"("user")"},
        {with(R"("todo")", "null"), R"("app")"},
        {with(R"(["lists","tasks"])", R"("lists")"), R"("tables")"},
        {with(R"("tasks")", "7"), R"("tables")"},
        {with(R"("phone")", "false"), R"("client")"},
        {with(R"("count":3)", R"("count":-3)"), R"("count")"},
        {with(R"("count":3)", R"("count":1.5)"), R"("count")"},
        {with(R"("2026-01-31T09:00:00.123456Z")", "{}"), R"("cursor")"},
    };
    for (const auto& [text, why] : cases) {
        const auto read = parse_notification(text);
        ASSERT_FALSE(read) << text;
        EXPECT_NE(read.error().find(why), std::string::npos) << read.error() << " for " << text;
        EXPECT_EQ(read.error().find('\n'), std::string::npos);
    }
}

// Channels. Expected: python3 -c 'import zlib; print(zlib.crc32("u:ann".encode()) % 64)'

TEST(channel, is_the_crc32_of_the_scope) {
    EXPECT_EQ(channel_of(""), "mana-sync:1:00");
    EXPECT_EQ(channel_of("u:ann"), "mana-sync:1:06");
    EXPECT_EQ(channel_of("u:7f0c7e1a"), "mana-sync:1:02");
    EXPECT_EQ(channel_of("s:family"), "mana-sync:1:62");
    EXPECT_EQ(channel_of("u:j\u00f6rg"), "mana-sync:1:16");
}

TEST(channel, is_one_of_64_and_all_are_used) {
    std::set<std::string> all;
    for (unsigned number = 0; number < channel_count; ++number) all.insert(channel_name(number));
    EXPECT_EQ(all.size(), 64U);
    EXPECT_EQ(*all.begin(), "mana-sync:1:00");
    EXPECT_EQ(*all.rbegin(), "mana-sync:1:63");
    std::set<std::string> used;
    for (int user = 0; user < 2000; ++user) used.insert(channel_of("u:user-" + std::to_string(user)));
    EXPECT_EQ(used, all);
}

// Where Redis is.

TEST(redis_url, names_host_port_password_and_database) {
    const auto where = parse_redis_url("redis://cache:p%40ss%2Fword@redis.example:6380/3");
    EXPECT_EQ(where.host, "redis.example");
    EXPECT_EQ(where.port, 6380);
    EXPECT_EQ(where.user, "cache");
    EXPECT_EQ(where.password, "p@ss/word");
    EXPECT_EQ(where.database, 3);
    EXPECT_TRUE(where.path.empty());
}

TEST(redis_url, has_defaults) {
    const auto where = parse_redis_url("redis://localhost");
    EXPECT_EQ(where.host, "localhost");
    EXPECT_EQ(where.port, 6379);
    EXPECT_TRUE(where.user.empty());
    EXPECT_TRUE(where.password.empty());
    EXPECT_EQ(where.database, 0);
    EXPECT_EQ(parse_redis_url("redis://localhost/").database, 0);
    EXPECT_EQ(parse_redis_url("redis://:secret@localhost").password, "secret");
    EXPECT_EQ(parse_redis_url("redis://[::1]:7000").host, "::1");
}

TEST(redis_url, names_a_unix_socket) {
    const auto where = parse_redis_url("unix:///run/redis/redis%20server.sock");
    EXPECT_TRUE(where.host.empty());
    EXPECT_EQ(where.path, "/run/redis/redis server.sock");
}

TEST(redis_url_error, is_thrown_for_any_other_form) {
    for (const char* url :
         {"", "localhost:6379", "http://localhost", "rediss://localhost", "redis://", "redis://localhost:0",
          "redis://localhost:65536", "redis://localhost/x", "redis://localhost/-1", "redis://user@localhost",
          "unix://", "unix:///", "unix://host/path"})
        EXPECT_THROW(parse_redis_url(url), std::invalid_argument) << url;
}

TEST(redis_url_error, never_tells_the_password) {
    try {
        parse_redis_url("redis://:hunter2@localhost/x");
        FAIL();
    } catch (const std::invalid_argument& failure) {
        EXPECT_EQ(std::string{failure.what()}.find("hunter2"), std::string::npos);
    }
}

// Without Redis.

TEST(publisher, has_nothing_to_do_for_nothing) {
    EXPECT_TRUE(publisher{"unix:///nonexistent/redis.sock"}.publish({}));
}

TEST(publisher_error, is_false_at_once_while_redis_is_away) {
    publisher to{"unix:///nonexistent/redis.sock"};
    const std::vector<notification> told{sample()};
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) EXPECT_FALSE(to.publish(told));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::milliseconds{500});
}

} // namespace
} // namespace mana::store
