// How many requests a user and a device may make, whichever worker takes them.
#include "fcgi_worker/request_rate.hpp"

#include <gtest/gtest.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace mana::fcgi_worker {
namespace {

using namespace std::chrono_literals;

const request_rate::clock::time_point start{1000s};

sender phone_of(std::string_view user) {
    return {user, "a.b.c", "phone"};
}

// How many are taken before one is refused.
int taken(request_rate& rate, const sender& who, request_rate::clock::time_point now) {
    int count = 0;
    while (count < 10'000 && !rate.refuse(who, now)) ++count;
    return count;
}

// How many of one user, whose devices take turns.
int taken_in_turns(request_rate& rate, std::string_view user, request_rate::clock::time_point now) {
    int count = 0;
    const auto refused = [&] {
        const auto client = std::to_string(count % 4);
        return rate.refuse({user, "a.b.c", client}, now).has_value();
    };
    while (count < 10'000 && !refused()) ++count;
    return count;
}

// ---- a device ----

TEST(request_rate, lets_a_devices_queue_through_at_once) {
    request_rate rate{10};
    EXPECT_EQ(taken(rate, phone_of("ann"), start), 50);
}

TEST(request_rate, gives_a_device_half_of_it_from_then_on) {
    request_rate rate{10};
    taken(rate, phone_of("ann"), start);
    EXPECT_EQ(taken(rate, phone_of("ann"), start + 1s), 5);
    EXPECT_EQ(taken(rate, phone_of("ann"), start + 1s + 450ms), 2);
}

TEST(request_rate, leaves_the_rest_to_other_devices_with_the_same_token) {
    request_rate rate{10};
    taken(rate, phone_of("ann"), start);
    EXPECT_EQ(taken(rate, {"ann", "a.b.c", "laptop"}, start), 50);
    for (auto now = start; now < start + 30s; now += 100ms) { // the phone asks in a loop
        taken(rate, phone_of("ann"), now);
        if (now > start && (now - start) % 200ms == 0ms) {
            EXPECT_FALSE(rate.refuse({"ann", "a.b.c", "laptop"}, now)) << (now - start) / 1ms;
        }
    }
}

TEST(request_rate, takes_those_without_a_client_id_apart_by_token) {
    request_rate rate{10};
    EXPECT_EQ(taken(rate, {"ann", "a.b.c", ""}, start), 50);
    EXPECT_EQ(taken(rate, {"ann", "d.e.f", ""}, start), 50);
}

TEST(request_rate, counts_what_is_refused_for_nobody) {
    request_rate rate{10};
    for (int i = 0; i < 1'000; ++i) (void)rate.refuse(phone_of("ann"), start);
    EXPECT_EQ(taken(rate, {"ann", "a.b.c", "laptop"}, start), 50);
    EXPECT_EQ(rate.refuse(phone_of("ann"), start), 200ms);
}

// ---- a user ----

TEST(request_rate, lets_no_user_have_more_with_more_devices) {
    request_rate rate{10};
    EXPECT_EQ(taken_in_turns(rate, "ann", start), 100);
    EXPECT_EQ(taken_in_turns(rate, "ann", start + 1s), 10);
    EXPECT_EQ(taken_in_turns(rate, "ann", start + 1s + 250ms), 2);
}

TEST(request_rate, says_when_to_come_again) {
    request_rate rate{10};
    taken_in_turns(rate, "ann", start);
    EXPECT_EQ(rate.refuse({"ann", "d.e.f", "new"}, start), 100ms);
    EXPECT_FALSE(rate.refuse({"ann", "d.e.f", "new"}, start + 100ms));
}

TEST(request_rate, lets_nobody_pay_for_another) {
    request_rate rate{10};
    taken_in_turns(rate, "ann", start);
    for (int user = 0; user < 1'000; ++user) {
        const auto name = "user-" + std::to_string(user);
        const auto token = "token-of-" + name;
        EXPECT_FALSE(rate.refuse({name, token, "phone"}, start));
    }
}

TEST(request_rate, forgets_who_was_quiet) {
    request_rate rate{10};
    taken(rate, phone_of("ann"), start);
    EXPECT_EQ(taken(rate, phone_of("ann"), start + 1h), 50);
}

TEST(request_rate, of_zero_is_none) {
    request_rate rate{0};
    EXPECT_EQ(taken(rate, phone_of("ann"), start), 10'000);
}

TEST(request_rate, counts_what_all_processes_take) {
    request_rate rate{10};
    const pid_t child = ::fork();
    if (child == 0) ::_exit(taken(rate, phone_of("ann"), start));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 50);
    EXPECT_TRUE(rate.refuse(phone_of("ann"), start));
}

} // namespace
} // namespace mana::fcgi_worker
