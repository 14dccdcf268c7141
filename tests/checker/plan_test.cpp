// The plan is the same for the same seed, and makes as many changes as it is asked for.
#include "tests/checker/plan.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace mana::checker {
namespace {

std::string told(const plan& made) {
    std::string text;
    for (const auto& one : made.schedules)
        for (const auto& next : one.steps)
            text += one.client + ' ' + to_text(next.what) + ' ' + next.record + ' ' + next.fields + ' ' +
                    next.dotted + ' ' + std::to_string(next.skew.count()) + '\n';
    for (const auto& one : made.memberships)
        text += std::to_string(one.after_changes) + ' ' + std::to_string(one.user) + ' ' +
                std::to_string(one.space) + (one.member ? " joins\n" : " leaves\n");
    return text;
}

TEST(checker_plan, is_the_same_for_the_same_seed) {
    const auto seven = told(make_plan({7, 500, 3, 3, 2}));
    EXPECT_EQ(seven, told(make_plan({7, 500, 3, 3, 2})));
    EXPECT_NE(seven, told(make_plan({8, 500, 3, 3, 2})));
}

TEST(checker_plan, has_as_many_changes_as_it_should) {
    for (const int changes : {1, 10, 999, 3'000})
        EXPECT_EQ(make_plan({1, changes, 4, 4, 2}).changes, changes);
    EXPECT_EQ(make_plan({1, 100, 1, 1, 0}).changes, 100);
}

TEST(checker_plan, has_steps_of_every_kind) {
    std::set<act> kinds;
    for (const auto& one : make_plan({1, 3'000, 4, 4, 2}).schedules)
        for (const auto& next : one.steps) kinds.insert(next.what);
    EXPECT_EQ(kinds.size(), static_cast<std::size_t>(act::sync) + 1);
}

} // namespace
} // namespace mana::checker
