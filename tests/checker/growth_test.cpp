// What counts as growth from round to round, and what does not.
#include "tests/checker/growth.hpp"

#include <gtest/gtest.h>

namespace mana::checker {
namespace {

TEST(growth, is_told_by_the_round) {
    const auto found = growth_of({10, 12, 14, 16});
    EXPECT_DOUBLE_EQ(found.first, 10);
    EXPECT_DOUBLE_EQ(found.last, 16);
    EXPECT_DOUBLE_EQ(found.a_round, 2);
}

TEST(growth, is_none_where_the_last_round_is_as_the_first_whatever_was_between) {
    EXPECT_DOUBLE_EQ(growth_of({10, 30, 30, 10}).a_round, 0);
    EXPECT_DOUBLE_EQ(growth_of({10}).a_round, 0);
    EXPECT_DOUBLE_EQ(growth_of({}).a_round, 0);
}

TEST(growth, of_descriptors_is_what_goes_beyond_the_first_rounds) {
    EXPECT_DOUBLE_EQ(most_of_count({7, 9, 8, 8, 8, 12}), 9);
    EXPECT_DOUBLE_EQ(most_of_count({7}), 7);
}

TEST(growth, of_descriptors_is_allowed_for_services_that_a_process_asks_late) {
    EXPECT_DOUBLE_EQ(most_descriptors({44, 44, 44, 44, 44, 53}, 4), 68);
    EXPECT_DOUBLE_EQ(most_descriptors({44}, 0), most_of_count({44}));
}

TEST(growth, of_memory_is_allowed_for_each_process) {
    const double one = most_memory(100, 1);
    const double two = most_memory(100, 2);
    EXPECT_GT(one, 100);
    EXPECT_DOUBLE_EQ(two - one, most_memory(0, 1));
}

} // namespace
} // namespace mana::checker
