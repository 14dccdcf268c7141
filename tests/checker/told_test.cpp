// Who was told in time.
#include "tests/checker/told.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>

namespace mana::checker {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using sync::instant;

constexpr auto always = instant::max();

instant at(milliseconds time) {
    return sync::epoch + 24h * 20'000 + time;
}

/// A's device, of Ann, listens to what B pushes in Ann's scope, unless a test says otherwise.
class told : public ::testing::Test {
  protected:
    happenings all{{}, {{"ann", "A", {{at(0s), always, {}}}, {}, {}}}, {}, {}};
    hearing& device = all.devices.front();

    commit& committed(milliseconds begun, milliseconds answered, const std::string& scope = "u:ann") {
        all.commits.push_back({scope, "B", "B/1", at(begun), at(answered), true, {}});
        return all.commits.back();
    }
    void cut(milliseconds lost, milliseconds opened) {
        device.connections.back().lost = at(lost);
        device.connections.push_back({at(opened), always, {}});
    }
    void away(const std::string& kind, milliseconds struck, milliseconds back) {
        all.outages.push_back({kind, at(struck), at(back)});
    }
    [[nodiscard]] tellings judged(milliseconds now = 1h) const { return judge(all, at(now)); }
};

TEST_F(told, is_who_heard_after_the_push_was_sent) {
    committed(10s, 11s);
    device.told = {at(9s), at(12s)};
    const auto found = judged();
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.told, 1U);
    EXPECT_EQ(found.longest, 1s);
}

TEST_F(told, is_not_who_heard_before_it) {
    committed(10s, 11s);
    device.told = {at(9s)};
    const auto found = judged();
    EXPECT_EQ(found.faults, 1U);
    EXPECT_NE(found.stories.at(0).find("never"), std::string::npos);
}

TEST_F(told, five_seconds_after_the_answer_is_in_time_and_later_is_not) {
    committed(10s, 11s);
    device.told = {at(16s)};
    EXPECT_EQ(judged().faults, 0U);
    device.told = {at(16s + 1ms)};
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, what_still_may_be_told_is_waited_for) {
    committed(10s, 11s);
    const auto found = judged(13s);
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.final_at, at(16s));
}

TEST_F(told, nobody_waits_for_news_of_oneself_or_of_strangers) {
    committed(10s, 11s).client = "A";
    committed(10s, 11s, "u:bob");
    committed(10s, 11s, "s:band");
    const auto found = judged();
    EXPECT_EQ(found.faults + found.told + found.left_out, 0U);
}

TEST_F(told, a_commit_with_a_name_is_told_by_that_name_alone) {
    committed(10s, 11s).named = 7;
    device.told = {at(12s)};
    EXPECT_EQ(judged().faults, 1U);
    device.named[7] = at(12s);
    const auto found = judged();
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.named, 1U);
}

TEST_F(told, parts_that_are_away_delay_it) {
    committed(10s, 11s);
    away("redis", 9s, 14s);
    away("postgres", 18s, 30s); // before it was due by the first
    device.told = {at(35s)};
    const auto found = judged();
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.longest_after_return, 5s);
    device.told = {at(35s + 1ms)};
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, an_outage_before_or_after_does_not) {
    committed(10s, 11s);
    away("redis", 8s, 9s);
    away("redis", 17s, 30s);
    device.told = {at(17s)};
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, who_comes_back_pulls_what_was_there) {
    committed(10s, 11s);
    cut(9s, 12s);
    const auto found = judged();
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.by_pulling, 1U);
}

TEST_F(told, who_comes_back_while_it_is_under_way_may_be_too_late_for_the_telling_and_pulls_it) {
    committed(10s, 13s);
    cut(9s, 12s);
    const auto found = judged();
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.by_pulling, 1U);
}

TEST_F(told, who_came_back_before_it_was_sent_must_be_told) {
    committed(13s, 14s);
    cut(9s, 12s);
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, a_hub_that_was_just_started_tells_those_who_come_back) {
    committed(10s, 11s);
    away("hub", 11s, 12s);
    cut(11s, 13s);
    EXPECT_EQ(judged().faults, 1U);
    device.told = {at(18s)};
    EXPECT_EQ(judged().faults, 0U);
    device.told = {at(18s + 1ms)};
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, who_does_not_come_back_is_a_fault) {
    committed(20s, 21s);
    device.connections.back().lost = at(9s);
    EXPECT_EQ(judged().faults, 1U);
    device.connections.clear();
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, who_takes_long_to_come_back_has_no_excuse) {
    committed(10s, 11s);
    away("hub", 9s, 12s);
    cut(9s, 40s);
    device.told = {at(40s)};
    EXPECT_EQ(judged().faults, 1U);
}

TEST_F(told, members_of_a_space_hear_of_it) {
    committed(10s, 11s, "s:band");
    all.members = {{"ann", "s:band", at(1s), always}};
    EXPECT_EQ(judged().faults, 1U);
    device.told = {at(12s)};
    EXPECT_EQ(judged().told, 1U);
}

TEST_F(told, who_joins_or_leaves_meanwhile_is_left_out) {
    committed(10s, 11s, "s:band");
    all.members = {{"ann", "s:band", at(8s), always}};
    EXPECT_EQ(judged().left_out, 1U);
    all.members = {{"ann", "s:band", at(1s), at(14s)}};
    EXPECT_EQ(judged().left_out, 1U);
    all.members = {{"ann", "s:band", at(1s), at(9s)}};
    EXPECT_EQ(judged().left_out, 0U);
    EXPECT_EQ(judged().faults, 0U);
}

TEST_F(told, without_an_answer_it_is_due_once_nothing_is_under_way) {
    committed(10s, 40s).answered = false;
    device.told = {at(45s)};
    const auto found = judged();
    EXPECT_EQ(found.faults, 0U);
    EXPECT_EQ(found.longest, 0s); // there is no answer to count from
    device.told.clear();
    EXPECT_EQ(judged().faults, 1U);
}

TEST(names_of_commits, come_back_as_their_numbers) {
    EXPECT_EQ(number_of_named(name_of_commit(17)), 17U);
    EXPECT_FALSE(number_of_named("notes"));
    EXPECT_FALSE(number_of_named("told-"));
    EXPECT_FALSE(number_of_named("told-1x"));
}

} // namespace
} // namespace mana::checker
