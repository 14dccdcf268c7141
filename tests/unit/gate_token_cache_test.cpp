// A token that was verified once is not verified again, and serves not a moment longer for that (SPEC §6).
#include "shared/gate/token_cache.hpp"
#include "tests/unit/token_maker.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>

namespace mana::gate {
namespace {

using namespace std::chrono_literals;
using testing::jwks;
using testing::make_token;
using testing::signing_key;

constexpr std::chrono::sys_seconds now{1'800'000'000s};
constexpr key_set::clock::time_point start{1000s};

std::string claims(const std::string& user, const std::string& exp, const std::string& more = "") {
    return R"({"sub":")" + user + R"(","exp":)" + exp + more + "}";
}

class token_cache_test : public ::testing::Test {
  protected:
    token_result verify(const std::string& token, std::chrono::seconds after = 0s) {
        return cache_.verify(token, now + after, start + after);
    }

    // Of a token that must be refused.
    token_fault fault(const std::string& token, std::chrono::seconds after = 0s) {
        const auto outcome = verify(token, after);
        EXPECT_FALSE(outcome);
        return outcome ? token_fault::missing : outcome.error();
    }

    [[nodiscard]] std::string token(const std::string& payload, const std::string& kid = "main") const {
        return make_token(key_, R"({"alg":"EdDSA","kid":")" + kid + "\"}", payload);
    }

    [[nodiscard]] std::string token_of(const std::string& user) const {
        return token(claims(user, "1800003600"));
    }

    const signing_key key_{7};
    const signing_key other_{8};
    int fetches_ = 0;
    fetch_result published_ = http_reply{200, jwks(key_.jwk("main"))};
    key_set keys_{[this] {
        ++fetches_;
        return published_;
    }};
    token_cache cache_{keys_};
};

TEST_F(token_cache_test, says_of_a_token_it_has_met_what_it_said_before) {
    const auto good = token_of("ann");
    for (std::uint64_t met = 0; met < 3; ++met) {
        const auto outcome = verify(good);
        ASSERT_TRUE(outcome);
        EXPECT_EQ(outcome->user, "ann");
        EXPECT_EQ(outcome->expires.time_since_epoch(), 1'800'003'600s);
        EXPECT_EQ(cache_.hits(), met);
    }
    EXPECT_EQ(cache_.size(), 1U);
}

TEST_F(token_cache_test, knows_users_apart) {
    for (int turn = 0; turn < 2; ++turn)
        for (const std::string user : {"ann", "bob"}) EXPECT_EQ(verify(token_of(user)).value().user, user);
    EXPECT_EQ(cache_.hits(), 2U);
}

TEST_F(token_cache_test, meets_no_token_that_differs_in_a_byte) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    for (std::size_t at = 0; at < good.size(); ++at) {
        auto changed = good;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(verify(changed)) << at;
    }
    EXPECT_FALSE(verify(good + "A"));
    EXPECT_FALSE(verify(good.substr(0, good.size() - 1)));
    EXPECT_FALSE(verify(good + std::string(1, '\0')));
    EXPECT_EQ(cache_.hits(), 0U);
    EXPECT_EQ(cache_.size(), 1U);
}

// Times.

TEST_F(token_cache_test, serves_to_the_second_that_the_token_does) {
    const auto good = token(claims("ann", "1800000100"));
    ASSERT_TRUE(verify(good));
    EXPECT_TRUE(verify(good, 159s)); // a minute of leeway
    EXPECT_EQ(cache_.hits(), 1U);
    EXPECT_EQ(fault(good, 160s), token_fault::expired);
    EXPECT_EQ(cache_.size(), 0U);
    EXPECT_EQ(fault(good, 160s), token_fault::expired);
}

TEST_F(token_cache_test, heeds_nbf_where_the_clock_is_set_back) {
    const auto good = token(claims("ann", "1800003600", R"(,"nbf":1800000060)"));
    ASSERT_TRUE(verify(good));
    EXPECT_EQ(cache_.verify(good, now - 1s, start).error(), token_fault::not_yet_valid);
    EXPECT_TRUE(verify(good));
}

// Keys.

TEST_F(token_cache_test, has_the_keys_fetched_as_often_as_without_it) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    EXPECT_TRUE(verify(good, 299s));
    EXPECT_EQ(fetches_, 1);
    EXPECT_EQ(cache_.hits(), 1U);
    EXPECT_TRUE(verify(good, 300s));
    EXPECT_EQ(fetches_, 2);
    EXPECT_EQ(keys_.counts().misses, 2U);
}

TEST_F(token_cache_test, goes_on_with_the_keys_it_holds_while_the_issuer_is_away) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    published_ = fetch_error{"connection refused"};
    EXPECT_TRUE(verify(good, 300s));
    EXPECT_TRUE(verify(good, 301s));
    EXPECT_EQ(cache_.hits(), 2U);
}

TEST_F(token_cache_test, is_emptied_when_a_key_is_withdrawn) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    ASSERT_TRUE(verify(token_of("bob")));
    published_ = http_reply{200, jwks(other_.jwk("next"))};
    EXPECT_EQ(fault(good, 300s), token_fault::unknown_key);
    EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(token_cache_test, refuses_a_token_once_another_key_has_the_name_of_its_key) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    published_ = http_reply{200, jwks(other_.jwk("main"))};
    EXPECT_EQ(fault(good, 300s), token_fault::bad_signature);
    EXPECT_EQ(cache_.size(), 0U);
}

TEST_F(token_cache_test, heeds_keys_that_another_tokens_request_had_fetched) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    published_ = http_reply{200, jwks(other_.jwk("next"))};
    ASSERT_TRUE(
        verify(make_token(other_, R"({"alg":"EdDSA","kid":"next"})", claims("bob", "1800003600")), 5s));
    EXPECT_EQ(fault(good, 6s), token_fault::unknown_key);
}

TEST_F(token_cache_test, verifies_again_with_keys_that_were_fetched_anew) {
    const auto good = token_of("ann");
    ASSERT_TRUE(verify(good));
    EXPECT_TRUE(verify(good, 300s)); // the same key, but nobody compares keys
    EXPECT_EQ(cache_.hits(), 0U);
    EXPECT_TRUE(verify(good, 301s));
    EXPECT_EQ(cache_.hits(), 1U);
}

// Bounds.

TEST_F(token_cache_test, keeps_nothing_of_a_refused_token) {
    EXPECT_EQ(fault(""), token_fault::missing);
    EXPECT_EQ(fault("x.y.z"), token_fault::malformed);
    EXPECT_EQ(fault(make_token(other_, R"({"alg":"EdDSA","kid":"main"})", claims("ann", "1800003600"))),
              token_fault::bad_signature);
    EXPECT_EQ(fault(token(claims("ann", "1799999940"))), token_fault::expired);
    EXPECT_EQ(fault(token(claims("ann", "1800003600", R"(,"nbf":1800000061)"))), token_fault::not_yet_valid);
    EXPECT_EQ(fault(token(claims("", "1800003600"))), token_fault::no_subject);
    EXPECT_EQ(fault(token(claims("ann", "1800003600"), "unknown")), token_fault::unknown_key);
    EXPECT_EQ(cache_.size(), 0U);
    EXPECT_EQ(cache_.bytes(), 0U);
}

TEST_F(token_cache_test, lets_go_of_the_token_that_was_not_met_for_the_longest_time) {
    token_cache small{keys_, {2, 1'000'000}};
    const auto met = [&](const std::string& user) {
        const auto before = small.hits();
        EXPECT_TRUE(small.verify(token_of(user), now, start)) << user;
        return small.hits() > before;
    };
    EXPECT_FALSE(met("ann"));
    EXPECT_FALSE(met("bob"));
    EXPECT_TRUE(met("ann"));
    EXPECT_FALSE(met("cid")); // bob goes
    EXPECT_EQ(small.size(), 2U);
    EXPECT_TRUE(met("ann"));
    EXPECT_FALSE(met("bob"));
}

TEST_F(token_cache_test, holds_no_more_bytes_than_it_may) {
    constexpr std::size_t most = 20'000;
    token_cache small{keys_, {4'096, most}};
    for (int user = 0; user < 50; ++user) {
        const auto large =
            token(claims(std::to_string(user), "1800003600", R"(,"x":")" + std::string(4'000, 'x') + '"'));
        EXPECT_TRUE(small.verify(large, now, start));
        EXPECT_LE(small.bytes(), most);
    }
    EXPECT_EQ(small.size(), 3U);
    token_cache none{keys_, {4'096, 100}};
    EXPECT_TRUE(none.verify(token_of("ann"), now, start));
    EXPECT_EQ(none.size(), 0U);
    EXPECT_EQ(none.bytes(), 0U);
}

} // namespace
} // namespace mana::gate
