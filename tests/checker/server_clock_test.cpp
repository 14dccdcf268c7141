// What the server's clock may have shown, with and without steps.
#include "tests/checker/server_clock.hpp"

#include <gtest/gtest.h>

namespace mana::checker {
namespace {

using namespace std::chrono_literals;
using sync::instant;

instant at(std::chrono::milliseconds time) {
    return instant{1'700'000'000s} + time;
}

void expect_between(const span& shown, instant lo, instant hi) {
    EXPECT_EQ(sync::to_text(shown.lo), sync::to_text(lo));
    EXPECT_EQ(sync::to_text(shown.hi), sync::to_text(hi));
}

/// Ahead from 10 s on, level again from 20 s on.
server_clock stepped() {
    server_clock clock{2ms};
    clock.note({at(10s), at(10s + 5ms), 1h});
    clock.note({at(20s), at(20s + 5ms), 0ms});
    return clock;
}

TEST(server_clock, goes_with_this_hosts_but_for_the_slack) {
    expect_between(server_clock{2ms}.during(at(1s), at(3s)), at(998ms), at(3002ms));
}

TEST(server_clock, is_known_between_two_steps) {
    const auto clock = stepped();
    expect_between(clock.during(at(1s), at(3s)), at(998ms), at(3002ms));
    expect_between(clock.during(at(12s), at(13s)), at(1h + 11'998ms), at(1h + 13'002ms));
    expect_between(clock.during(at(21s), at(22s)), at(20'998ms), at(22'002ms));
}

TEST(server_clock, may_show_either_while_it_is_stepped) {
    const auto clock = stepped();
    expect_between(clock.during(at(9s), at(10s)), at(8'998ms), at(1h + 10'002ms));
    expect_between(clock.during(at(10s + 5ms), at(12s)), at(10'003ms), at(1h + 12'002ms));
    expect_between(clock.during(at(10s + 6ms), at(12s)), at(1h + 10'004ms), at(1h + 12'002ms));
}

TEST(server_clock, shows_the_hour_ahead_until_its_step_back_is_done) {
    expect_between(stepped().during(at(19s), at(40s)), at(18'998ms), at(1h + 20'007ms));
}

TEST(server_clock, may_have_shown_all_of_several_steps) {
    expect_between(stepped().during(at(9s), at(40s)), at(8'998ms), at(1h + 20'007ms));
}

} // namespace
} // namespace mana::checker
