// A push is told once to each connection of its scope, whoever told it first, and to those who come back.
#include "ws_hub/fan_out.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace mana::hub {
namespace {

using namespace std::chrono_literals;

store::notification push_of(const std::string& scope, const std::string& cursor) {
    return {scope, "ann", "todo", {"tasks"}, "phone", 1, cursor};
}

const store::notification first = push_of("u:ann", "2026-01-31T09:00:00.000001Z");
const store::notification second = push_of("u:ann", "2026-01-31T09:00:00.000002Z");

class connection final : public subscriber {
  public:
    void hear(const store::notification& told) override { heard.push_back(told.cursor); }
    void dismiss() override {}
    std::vector<std::string> heard;
};

class fan_out_of_pushes : public testing::Test {
  protected:
    const fan_out::clock::time_point start = fan_out::clock::now();
    const fan_out::clock::time_point much_later = start + fan_out::return_time + 1s;
    subscription_index index;
    push_ledger ledger;
    fan_out news{index, ledger, start};
    connection phone;
};

TEST_F(fan_out_of_pushes, tells_a_push_once_whoever_tells_it_first) {
    news.listen_to(phone, {"u:ann"}, much_later);
    EXPECT_TRUE(news.tell(first, news_source::redis, much_later));
    EXPECT_FALSE(news.tell(first, news_source::log, much_later));
    EXPECT_TRUE(news.tell(second, news_source::log, much_later));
    EXPECT_FALSE(news.tell(second, news_source::redis, much_later));
    EXPECT_EQ(phone.heard, (std::vector{first.cursor, second.cursor}));
}

TEST_F(fan_out_of_pushes, tells_nobody_outside_of_the_scope) {
    news.listen_to(phone, {"u:zed"}, start);
    news.tell(first, news_source::redis, start);
    EXPECT_TRUE(phone.heard.empty());
}

TEST_F(fan_out_of_pushes, tells_those_who_come_back_what_was_pushed_while_the_hub_was_away) {
    news.tell(first, news_source::log, start);
    news.tell(second, news_source::redis, start + 1s);
    news.listen_to(phone, {"u:ann"}, start + 5s);
    EXPECT_EQ(phone.heard, (std::vector{first.cursor, second.cursor}));
}

TEST_F(fan_out_of_pushes, tells_those_who_come_later_only_what_is_new) {
    news.tell(first, news_source::log, start);
    news.listen_to(phone, {"u:ann"}, much_later);
    news.tell(second, news_source::redis, much_later);
    EXPECT_EQ(phone.heard, (std::vector{second.cursor}));
}

TEST_F(fan_out_of_pushes, tells_those_whose_spaces_become_known_late_what_was_pushed_there_meanwhile) {
    const auto in_space = push_of("s:crew", first.cursor);
    news.tell(push_of("s:crew", "2026-01-30T09:00:00.000000Z"), news_source::redis, much_later);
    news.await_listeners(much_later);
    news.listen_to(phone, {"u:ann"}, much_later);
    news.tell(in_space, news_source::redis, much_later + 1s);
    EXPECT_TRUE(phone.heard.empty());
    news.listen_to(phone, {"u:ann", "s:crew"}, much_later + 5s);
    EXPECT_EQ(phone.heard, (std::vector{first.cursor}));
}

TEST_F(fan_out_of_pushes, follows_a_connection_to_other_scopes) {
    EXPECT_TRUE(news.listen_to(phone, {"u:ann", "s:old"}, much_later));
    EXPECT_TRUE(news.listen_to(phone, {"u:ann", "s:new"}, much_later));
    EXPECT_FALSE(news.listen_to(phone, {"u:ann"}, much_later));
    EXPECT_EQ(index.scopes_of(phone), (std::vector<std::string>{"u:ann"}));
    EXPECT_TRUE(index.of("s:old").empty());
    EXPECT_TRUE(index.of("s:new").empty());
}

TEST_F(fan_out_of_pushes, tells_rather_twice_than_never_where_a_cursor_cannot_be_read) {
    news.listen_to(phone, {"u:ann"}, much_later);
    news.tell(push_of("u:ann", "soon"), news_source::redis, much_later);
    news.tell(push_of("u:ann", "soon"), news_source::redis, much_later);
    EXPECT_EQ(phone.heard.size(), 2U);
}

TEST(push_ledger, knows_what_redis_told) {
    push_ledger ledger;
    const auto now = push_ledger::clock::now();
    ledger.first_news(first, news_source::log, now);
    EXPECT_FALSE(ledger.heard_from_redis(first));
    ledger.first_news(first, news_source::redis, now);
    EXPECT_TRUE(ledger.heard_from_redis(first));
    EXPECT_FALSE(ledger.heard_from_redis(second));
}

// Rows of other programs that are taken up together have one newest position, in whatever scopes they are.
TEST_F(fan_out_of_pushes, tells_every_scope_of_what_has_one_position_in_several) {
    connection tablet;
    news.listen_to(phone, {"u:ann"}, much_later);
    news.listen_to(tablet, {"s:crew"}, much_later);
    EXPECT_TRUE(news.tell(push_of("s:crew", first.cursor), news_source::log, much_later));
    EXPECT_TRUE(news.tell(first, news_source::log, much_later));
    EXPECT_EQ(tablet.heard, (std::vector{first.cursor}));
    EXPECT_EQ(phone.heard, (std::vector{first.cursor}));
}

TEST(push_ledger, knows_of_each_scope_whether_redis_told) {
    push_ledger ledger;
    const auto now = push_ledger::clock::now();
    ledger.first_news(push_of("s:crew", first.cursor), news_source::redis, now);
    EXPECT_FALSE(ledger.heard_from_redis(first));
    EXPECT_TRUE(ledger.first_news(first, news_source::redis, now));
    EXPECT_TRUE(ledger.heard_from_redis(first));
}

TEST(push_ledger, forgets_what_is_long_ago) {
    push_ledger ledger;
    const auto now = push_ledger::clock::now();
    ledger.first_news(first, news_source::redis, now);
    EXPECT_FALSE(ledger.first_news(first, news_source::redis, now + push_ledger::memory));
    EXPECT_TRUE(ledger.first_news(first, news_source::redis, now + push_ledger::memory + 1s));
}

} // namespace
} // namespace mana::hub
