// A plan that fails for a known reason is shrunk to that reason.
#include "tests/checker/shrink.hpp"

#include "tests/checker/selection.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace mana::checker {
namespace {

plan large_plan() {
    return make_plan({3, 1'000, 3, 3, 2});
}

bool never() {
    return false;
}

std::vector<step> steps_of(const plan& made) {
    std::vector<step> all;
    for (const auto& one : made.schedules) all.insert(all.end(), one.steps.begin(), one.steps.end());
    return all;
}

bool writes(const step& next, const std::string& record, const std::string& field) {
    return next.what == act::write && next.record == record &&
           next.fields.find('"' + field + '"') != std::string::npos;
}

/// Two devices write the same field of the record, and one of them pushes after that.
bool two_devices_meet(const plan& made) {
    int writers = 0;
    bool pushed = false;
    for (const auto& one : made.schedules) {
        const auto write =
            std::ranges::find_if(one.steps, [](const step& next) { return writes(next, "s0-r1", "color"); });
        if (write == one.steps.end()) continue;
        ++writers;
        pushed = pushed || std::ranges::any_of(write, one.steps.end(),
                                               [](const step& next) { return next.what == act::push; });
    }
    return writers >= 2 && pushed;
}

TEST(checker_shrink, leaves_the_steps_that_matter_and_no_others) {
    const auto whole = large_plan();
    ASSERT_TRUE(two_devices_meet(whole));
    const auto small = shrink(whole, two_devices_meet, never);
    EXPECT_TRUE(two_devices_meet(small));
    EXPECT_EQ(small.schedules.size(), 2U);
    EXPECT_EQ(small.changes, 2);
    EXPECT_EQ(steps_of(small).size(), 3U);
}

TEST(checker_shrink, leaves_the_steps_that_matter_in_their_simplest_form) {
    for (const auto& next : steps_of(shrink(large_plan(), two_devices_meet, never))) {
        EXPECT_EQ(next.skew.count(), 0);
        EXPECT_FALSE(next.whole_second);
        EXPECT_TRUE(next.dotted.empty());
        if (next.what != act::write) continue;
        EXPECT_EQ(next.fields.find("\"content\""), std::string::npos) << next.fields;
        EXPECT_EQ(next.timed, insert_time::none);
    }
}

TEST(checker_shrink, keeps_a_move_of_members_that_matters) {
    const auto needs_one = [](const plan& made) {
        return std::ranges::any_of(made.memberships, [](const membership_change& one) {
            return one.after_changes > 0 && one.user == 2;
        });
    };
    const auto whole = large_plan();
    ASSERT_TRUE(needs_one(whole));
    const auto small = shrink(whole, needs_one, never);
    EXPECT_EQ(std::ranges::count_if(small.memberships,
                                    [](const membership_change& one) { return one.after_changes > 0; }),
              1);
    EXPECT_EQ(users_of(small), std::vector<int>{2});
}

TEST(checker_shrink, stops_when_it_is_enough) {
    int tries = 0;
    const auto fails = [&](const plan& made) {
        ++tries;
        return two_devices_meet(made);
    };
    const auto small = shrink(large_plan(), fails, [&] { return tries >= 5; });
    EXPECT_EQ(tries, 5);
    EXPECT_TRUE(two_devices_meet(small));
}

TEST(checker_shrink, gives_the_plan_back_where_nothing_smaller_fails) {
    const auto whole = large_plan();
    const auto same = shrink(
        whole, [](const plan&) { return false; }, never);
    EXPECT_EQ(steps_of(same).size(), steps_of(whole).size());
}

TEST(checker_touching, keeps_one_record_and_its_spaces_members) {
    const auto part = touching(large_plan(), {"s0-r1"}, true);
    EXPECT_GT(part.changes, 0);
    EXPECT_LT(part.changes, large_plan().changes);
    for (const auto& next : steps_of(part)) EXPECT_TRUE(!makes_a_change(next.what) || next.record == "s0-r1");
    ASSERT_FALSE(part.memberships.empty());
    for (const auto& one : part.memberships) EXPECT_EQ(one.space, 0);
    EXPECT_TRUE(touching(large_plan(), {"u0-r1"}, true).memberships.empty());
    EXPECT_EQ(users_of(touching(large_plan(), {"u0-r1"}, true)), std::vector<int>{0});
}

TEST(checker_touching, drops_exchanges_between_which_nothing_changes) {
    const auto all = steps_of(touching(large_plan(), {"s0-r1"}, false));
    const auto few = steps_of(touching(large_plan(), {"s0-r1"}, true));
    EXPECT_LT(few.size(), all.size());
    const auto changes = [](const std::vector<step>& of) {
        return std::ranges::count_if(of, [](const step& next) { return makes_a_change(next.what); });
    };
    EXPECT_EQ(changes(few), changes(all));
}

TEST(checker_selection, names_a_part_of_a_plan_so_that_it_can_be_had_again) {
    const auto part = touching(large_plan(), {"s0-r1"}, true);
    const auto again = selected(large_plan(), selection_of(part));
    EXPECT_EQ(selection_of(again), selection_of(part));
    EXPECT_EQ(again.changes, part.changes);
    EXPECT_EQ(steps_of(again).size(), steps_of(part).size());
}

TEST(checker_selection, reads_single_steps_and_runs) {
    const auto part = selected(large_plan(), "u1B:2,5-7 u0A:1");
    ASSERT_EQ(part.schedules.size(), 2U);
    EXPECT_EQ(part.schedules[0].client, "u1B");
    EXPECT_EQ(part.schedules[0].steps.size(), 4U);
    EXPECT_EQ(selection_of(part), "u1B:2,5-7 u0A:1");
    for (const auto* wrong : {"u9A:1", "u0A", "u0A:x", "u0A:1-"})
        EXPECT_THROW(selected(large_plan(), wrong), std::invalid_argument) << wrong;
}

} // namespace
} // namespace mana::checker
