// How many requests a user may make, whichever worker takes them.
#include "fcgi_worker/request_rate.hpp"

#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace mana::fcgi_worker {
namespace {

using namespace std::chrono_literals;

const request_rate::clock::time_point start{1000s};

// How many are taken before one is refused.
int taken(request_rate& rate, std::string_view user, request_rate::clock::time_point now) {
    int count = 0;
    while (count < 10'000 && !rate.refuse(user, now)) ++count;
    return count;
}

TEST(request_rate, lets_a_queue_of_five_seconds_through_at_once) {
    request_rate rate{10};
    EXPECT_EQ(taken(rate, "ann", start), 50);
}

TEST(request_rate, takes_no_more_than_the_rate_from_then_on) {
    request_rate rate{10};
    taken(rate, "ann", start);
    EXPECT_EQ(taken(rate, "ann", start + 1s), 10);
    EXPECT_EQ(taken(rate, "ann", start + 1s + 250ms), 2);
}

TEST(request_rate, says_when_to_come_again) {
    request_rate rate{10};
    taken(rate, "ann", start);
    EXPECT_EQ(rate.refuse("ann", start), 100ms);
    EXPECT_FALSE(rate.refuse("ann", start + 100ms));
}

TEST(request_rate, lets_nobody_pay_for_another) {
    request_rate rate{10};
    taken(rate, "ann", start);
    for (int user = 0; user < 1'000; ++user) EXPECT_FALSE(rate.refuse("user-" + std::to_string(user), start));
}

TEST(request_rate, forgets_who_was_quiet) {
    request_rate rate{10};
    taken(rate, "ann", start);
    EXPECT_EQ(taken(rate, "ann", start + 1h), 50);
}

TEST(request_rate, of_zero_is_none) {
    request_rate rate{0};
    EXPECT_EQ(taken(rate, "ann", start), 10'000);
}

TEST(request_rate, counts_what_all_processes_take) {
    request_rate rate{10};
    const pid_t child = ::fork();
    if (child == 0) ::_exit(taken(rate, "ann", start));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 50);
    EXPECT_TRUE(rate.refuse("ann", start));
}

} // namespace
} // namespace mana::fcgi_worker
