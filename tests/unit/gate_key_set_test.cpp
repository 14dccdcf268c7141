// Where keys come from, how long they serve, and how rarely they are fetched (SPEC §6).
#include "shared/gate/key_set.hpp"
#include "tests/unit/token_maker.hpp"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace mana::gate {
namespace {

using namespace std::chrono_literals;
using testing::base64url;
using testing::jwks;
using testing::signing_key;

const key_set::clock::time_point start{1000s};

// Parsing.

TEST(parse_jwks, takes_ed25519_keys_by_kid) {
    const auto keys = parse_jwks(jwks(signing_key{1}.jwk("a") + "," + signing_key{2}.jwk("b")));
    ASSERT_TRUE(keys);
    EXPECT_EQ(keys->size(), 2U);
    EXPECT_TRUE(keys->contains("a"));
    EXPECT_TRUE(keys->contains("b"));
}

TEST(parse_jwks, skips_what_is_no_ed25519_signature_key) {
    const std::string x = base64url(signing_key{1}.public_bytes());
    const std::string short_x = base64url(signing_key{1}.public_bytes().substr(1));
    const std::vector<std::string> others{
        R"({"kty":"RSA","n":"AQAB","e":"AQAB","kid":"k"})",
        R"({"kty":"OKP","crv":"X25519","kid":"k","x":")" + x + R"("})",
        R"({"kty":"OKP","crv":"Ed448","kid":"k","x":")" + x + R"("})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"k","use":"enc","x":")" + x + R"("})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"k","alg":"ES256","x":")" + x + R"("})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"k","x":")" + short_x + R"("})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"k","x":")" + x + R"(="})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"k","x":7})",
        R"({"kty":"OKP","crv":"Ed25519","kid":"k"})",
        R"({"kty":"OKP","crv":"Ed25519","x":")" + x + R"("})",
        R"({"kty":"OKP","crv":"Ed25519","kid":7,"x":")" + x + R"("})",
        "7",
        "null",
        "[]",
        "{}",
    };
    for (const std::string& other : others) {
        const auto keys = parse_jwks(jwks(other + "," + signing_key{1}.jwk("good")));
        ASSERT_TRUE(keys) << other;
        EXPECT_EQ(keys->size(), 1U) << other;
    }
}

TEST(parse_jwks, lets_the_first_of_two_keys_with_one_kid_count) {
    const auto keys = parse_jwks(jwks(signing_key{1}.jwk("a") + "," + signing_key{2}.jwk("a")));
    ASSERT_TRUE(keys);
    std::string raw(32, '\0');
    std::size_t size = raw.size();
    EVP_PKEY_get_raw_public_key(keys->at("a").get(), reinterpret_cast<unsigned char*>(raw.data()), &size);
    EXPECT_EQ(raw, signing_key{1}.public_bytes());
}

TEST(parse_jwks, refuses_what_is_no_key_set) {
    for (const std::string& text :
         {std::string{}, std::string{"<html>"}, std::string{"{}"}, std::string{"[]"}, std::string{"null"},
          std::string{R"({"keys":{}})"}, std::string{R"({"keys":7})"}, jwks(""),
          jwks(signing_key{1}.jwk("a")) + "x", std::string(100'000, '['), jwks(R"({"kty":"RSA","kid":"a"})")})
        EXPECT_FALSE(parse_jwks(text)) << text.substr(0, 80);
}

// The cache.

class key_set_test : public ::testing::Test {
  protected:
    [[nodiscard]] bool found(std::string_view kid, key_set::clock::duration after) {
        return keys_.find(kid, start + after).has_value();
    }

    [[nodiscard]] key_fault fault(std::string_view kid, key_set::clock::duration after) {
        const auto outcome = keys_.find(kid, start + after);
        EXPECT_FALSE(outcome) << kid;
        return outcome ? key_fault::unknown : outcome.error();
    }

    void publish(const std::string& kid) { reply_ = http_reply{200, jwks(signing_key{1}.jwk(kid))}; }
    void break_down() { reply_ = fetch_error{"connection refused"}; }

    int fetches_ = 0;
    fetch_result reply_ = http_reply{200, jwks(signing_key{1}.jwk("old"))};
    key_set keys_{[this] {
        ++fetches_;
        return reply_;
    }};
};

TEST_F(key_set_test, fetches_once_and_serves_five_minutes) {
    EXPECT_TRUE(found("old", 0s));
    EXPECT_TRUE(found("old", 299s));
    EXPECT_EQ(fetches_, 1);
    EXPECT_TRUE(found("old", 300s));
    EXPECT_EQ(fetches_, 2);
}

TEST_F(key_set_test, hands_out_one_imported_key_again_and_again) {
    EXPECT_EQ(*keys_.find("old", start), *keys_.find("old", start + 1s));
}

TEST_F(key_set_test, finds_a_new_key_by_its_unknown_kid) {
    EXPECT_TRUE(found("old", 0s));
    publish("new");
    EXPECT_TRUE(found("new", 5s));
    EXPECT_EQ(fault("old", 6s), key_fault::unknown) << "a withdrawn key must stop serving";
}

TEST_F(key_set_test, fetches_for_unknown_kids_at_most_every_five_seconds) {
    EXPECT_TRUE(found("old", 0s));
    for (int i = 0; i < 50; ++i) EXPECT_EQ(fault("guess" + std::to_string(i), 100ms * i), key_fault::unknown);
    EXPECT_EQ(fetches_, 1);
    EXPECT_EQ(fault("guess", 5s), key_fault::unknown);
    EXPECT_EQ(fetches_, 2);
}

TEST_F(key_set_test, keeps_serving_cached_keys_while_the_issuer_is_down) {
    EXPECT_TRUE(found("old", 0s));
    break_down();
    for (int hours = 1; hours < 100; ++hours) EXPECT_TRUE(found("old", std::chrono::hours{hours}));
}

TEST_F(key_set_test, tries_a_dead_issuer_rarely_while_old_keys_serve) {
    EXPECT_TRUE(found("old", 0s));
    break_down();
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(found("old", 300s + i * 100ms));
    EXPECT_EQ(fetches_, 2);
    EXPECT_TRUE(found("old", 330s));
    EXPECT_EQ(fetches_, 3);
}

TEST_F(key_set_test, keeps_its_keys_when_the_document_is_garbage) {
    EXPECT_TRUE(found("old", 0s));
    for (const fetch_result& garbage :
         {fetch_result{http_reply{200, "<html>"}}, fetch_result{http_reply{200, jwks("")}},
          fetch_result{http_reply{500, jwks(signing_key{1}.jwk("new"))}}}) {
        reply_ = garbage;
        EXPECT_TRUE(found("old", 1h * ++fetches_));
    }
}

TEST_F(key_set_test, tells_unknown_from_unavailable) {
    break_down();
    EXPECT_EQ(fault("old", 0s), key_fault::unavailable);
    EXPECT_EQ(fault("old", 1s), key_fault::unavailable);
    EXPECT_EQ(fetches_, 1) << "requests must not each wait for the time-out";
    publish("old");
    EXPECT_TRUE(found("old", 5s));
    break_down();
    EXPECT_EQ(fault("other", 10s), key_fault::unknown);
}

TEST(key_set, takes_a_throwing_fetcher_for_an_outage) {
    key_set keys{[]() -> fetch_result { throw std::runtime_error{"no handle"}; }};
    EXPECT_EQ(keys.find("a", start).error(), key_fault::unavailable);
}

TEST_F(key_set_test, refresh_fills_the_cache_before_the_first_request) {
    EXPECT_TRUE(keys_.refresh(start));
    break_down();
    EXPECT_TRUE(found("old", 1s));
    EXPECT_TRUE(keys_.refresh(start + 2s)) << "a failed refresh keeps what is there";
    EXPECT_EQ(fetches_, 2);
}

TEST_F(key_set_test, counts_what_the_cache_answered_and_what_was_fetched) {
    EXPECT_TRUE(found("old", 0s)); // fetched
    EXPECT_TRUE(found("old", 1s)); // a hit
    EXPECT_EQ(fault("guess", 2s), key_fault::unknown) << "it is too early for a fetch";
    EXPECT_TRUE(found("old", 300s)); // too old, fetched
    break_down();
    EXPECT_TRUE(found("old", 600s)); // too old, and the fetch failed
    EXPECT_TRUE(found("old", 601s)); // a hit: no fetch before 630 s
    const auto counts = keys_.counts();
    EXPECT_EQ(counts.hits, 2U);
    EXPECT_EQ(counts.misses, 4U);
    EXPECT_EQ(counts.fetched, 2U);
    EXPECT_EQ(counts.failed, 1U);
}

TEST(key_set, lets_threads_share_one_fetch) {
    std::atomic<int> fetches{0};
    key_set keys{[&fetches]() -> fetch_result {
        ++fetches;
        std::this_thread::sleep_for(50ms);
        return http_reply{200, jwks(signing_key{1}.jwk("a"))};
    }};
    std::atomic<int> found{0};
    {
        std::vector<std::jthread> callers;
        for (int i = 0; i < 8; ++i)
            callers.emplace_back([&] { found += keys.find("a", start).has_value() ? 1 : 0; });
    }
    EXPECT_EQ(found, 8);
    EXPECT_EQ(fetches, 1);
}

} // namespace
} // namespace mana::gate
