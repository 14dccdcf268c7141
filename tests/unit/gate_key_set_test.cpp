// Where keys come from, how long they serve, and how rarely they are fetched (SPEC §6).
#include "shared/gate/key_set.hpp"
#include "tests/unit/token_maker.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
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
        R"({"kty":"OKP","crv":"Ed448","kid":"k","x":")" + base64url(std::string(57, 'x')) + R"("})",
        R"({"kty":"EC","crv":"P-256","kid":"k","x":")" + x + R"(","y":")" + x + R"("})",
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
          std::string{R"({"keys":{}})"}, std::string{R"({"keys":7})"}, jwks(signing_key{1}.jwk("a")) + "x",
          std::string(100'000, '[')})
        EXPECT_FALSE(parse_jwks(text)) << text.substr(0, 80);
}

TEST(parse_jwks, takes_a_key_set_without_a_key_of_our_kind_for_one) {
    for (const std::string& text : {jwks(""), jwks(R"({"kty":"RSA","kid":"a"})")}) {
        const auto keys = parse_jwks(text);
        ASSERT_TRUE(keys) << text;
        EXPECT_TRUE(keys->empty()) << text;
    }
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

TEST_F(key_set_test, gives_what_it_holds_without_a_fetch_while_that_is_fresh) {
    EXPECT_FALSE(keys_.find_held("old", start));
    EXPECT_EQ(fetches_, 0);
    ASSERT_TRUE(found("old", 0s));
    EXPECT_TRUE(keys_.find_held("old", start + 299s));
    EXPECT_FALSE(keys_.find_held("new", start + 299s));
    EXPECT_FALSE(keys_.find_held("old", start + 300s)); // find() would fetch
    EXPECT_EQ(fetches_, 1);
}

TEST_F(key_set_test, gives_what_it_holds_while_the_issuer_is_away) {
    ASSERT_TRUE(found("old", 0s));
    break_down();
    ASSERT_TRUE(found("old", 300s));
    EXPECT_TRUE(keys_.find_held("old", start + 301s));
}

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

TEST_F(key_set_test, serves_all_keys_of_a_rotation_until_one_is_withdrawn) {
    EXPECT_TRUE(found("old", 0s));
    reply_ = http_reply{200, jwks(signing_key{1}.jwk("old") + "," + signing_key{2}.jwk("new"))};
    EXPECT_TRUE(found("new", 5s));
    EXPECT_TRUE(found("old", 5s));
    reply_ = http_reply{200, jwks(signing_key{2}.jwk("new"))};
    EXPECT_TRUE(found("old", 304s));
    EXPECT_EQ(fault("old", 305s), key_fault::unknown) << "five minutes are over";
    EXPECT_TRUE(found("new", 305s));
}

TEST_F(key_set_test, withdraws_all_keys_when_the_issuer_publishes_none_of_our_kind) {
    for (const std::string& without_ours : {jwks(""), jwks(R"({"kty":"RSA","kid":"old"})")}) {
        key_set keys{[this] { return reply_; }};
        publish("old");
        ASSERT_TRUE(keys.find("old", start));
        reply_ = http_reply{200, without_ours};
        EXPECT_TRUE(keys.find("old", start + 299s));
        const auto outcome = keys.find("old", start + 300s);
        ASSERT_FALSE(outcome) << without_ours;
        EXPECT_EQ(outcome.error(), key_fault::unknown) << "nobody waits for keys that were withdrawn";
        publish("new");
        EXPECT_TRUE(keys.find("new", start + 305s));
    }
}

TEST_F(key_set_test, replaces_a_key_by_another_one_of_its_kid) {
    const auto old = keys_.find("old", start);
    ASSERT_TRUE(old);
    reply_ = http_reply{200, jwks(signing_key{2}.jwk("old"))};
    EXPECT_EQ(*keys_.find("old", start + 299s), *old);
    const auto renewed = keys_.find("old", start + 300s);
    ASSERT_TRUE(renewed);
    EXPECT_EQ(EVP_PKEY_eq(renewed->get(), old->get()), 0);
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
         {fetch_result{http_reply{200, "<html>"}}, fetch_result{http_reply{200, R"({"keys":{}})"}},
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
    EXPECT_TRUE(keys_.refresh(start + 299s));
    EXPECT_EQ(fetches_, 1) << "the keys are fresh";
    EXPECT_TRUE(keys_.refresh(start + 300s)) << "a failed refresh keeps what is there";
    EXPECT_TRUE(keys_.refresh(start + 301s));
    EXPECT_EQ(fetches_, 3) << "a refresh is made at once";
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

// Several processes of one host.

// Where their shares meet, by the tests' clock.
struct host {
    key_set::clock::time_point now = start;
    std::string published;
    key_set::clock::time_point published_at;
    int version = 0;
    std::optional<key_set::clock::time_point> attempt;
    bool taken = false;                // by a process that is none of the tests' key sets
    std::function<void()> when_waited; // what happens while somebody waits for it
};

class share_in_memory final : public key_share {
  public:
    explicit share_in_memory(host& where) : host_{where} {}

    std::optional<document> news() override {
        if (std::exchange(seen_, host_.version) == host_.version) return std::nullopt;
        return document{host_.published, ages(host_.published_at)};
    }
    std::optional<std::chrono::milliseconds> last_attempt() override {
        attempt_seen_ = host_.attempt;
        if (!host_.attempt) return std::nullopt;
        return ages(*host_.attempt);
    }
    std::unique_ptr<turn> take_turn() override {
        if (host_.taken || host_.attempt != attempt_seen_) return nullptr;
        host_.attempt = host_.now;
        return std::make_unique<turn_in_memory>(*this);
    }
    void await_turn() const override {
        if (host_.taken && host_.when_waited) host_.when_waited();
    }

  private:
    struct turn_in_memory final : turn {
        explicit turn_in_memory(share_in_memory& whose) : of{whose} {}
        void publish(std::string_view document) override {
            of.host_.published = document;
            of.host_.published_at = of.host_.now;
            of.seen_ = ++of.host_.version;
        }
        share_in_memory& of;
    };

    [[nodiscard]] std::chrono::milliseconds ages(key_set::clock::time_point then) const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(host_.now - then);
    }

    host& host_;
    int seen_ = 0;
    std::optional<key_set::clock::time_point> attempt_seen_;
};

class processes_of_one_host : public ::testing::Test {
  protected:
    std::unique_ptr<key_set> make_process() {
        return std::make_unique<key_set>(
            [this] {
                ++fetches_;
                return reply_;
            },
            std::make_unique<share_in_memory>(host_));
    }

    [[nodiscard]] bool finds(std::unique_ptr<key_set>& process, std::string_view kid) {
        return process->find(kid, host_.now).has_value();
    }

    void pass(std::chrono::milliseconds time) { host_.now += time; }
    void publish(const std::string& kid) { reply_ = http_reply{200, jwks(signing_key{1}.jwk(kid))}; }
    void break_down() { reply_ = fetch_error{"connection refused"}; }

    // A process that is none of the key sets below begins to fetch, and what it hands over in the end.
    void others_begin() {
        host_.taken = true;
        host_.attempt = host_.now;
    }
    void others_publish(const std::string& kid) {
        host_.published = jwks(signing_key{1}.jwk(kid));
        host_.published_at = host_.now;
        ++host_.version;
        host_.taken = false;
    }

    int fetches_ = 0;
    fetch_result reply_ = http_reply{200, jwks(signing_key{1}.jwk("old"))};
    host host_;
    std::unique_ptr<key_set> one_ = make_process();
    std::unique_ptr<key_set> other_ = make_process();
};

TEST_F(processes_of_one_host, fetch_once_for_all) {
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_TRUE(finds(other_, "old"));
    pass(300s);
    EXPECT_TRUE(finds(other_, "old"));
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_EQ(fetches_, 2);
}

TEST_F(processes_of_one_host, all_know_a_new_key_once_one_has_fetched_it) {
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_TRUE(finds(other_, "old"));
    publish("new");
    pass(5s);
    EXPECT_TRUE(finds(one_, "new"));
    EXPECT_TRUE(finds(other_, "new"));
    EXPECT_FALSE(finds(other_, "old")) << "a withdrawn key must stop serving everywhere";
    EXPECT_EQ(fetches_, 2);
}

TEST_F(processes_of_one_host, a_storm_of_unknown_kids_costs_all_one_fetch_every_five_seconds) {
    EXPECT_TRUE(finds(one_, "old"));
    std::vector<std::unique_ptr<key_set>> workers;
    for (int i = 0; i < 8; ++i) workers.push_back(make_process());
    for (int i = 0; i < 400; ++i) { // 20 seconds
        pass(50ms);
        EXPECT_FALSE(finds(workers[static_cast<std::size_t>(i) % 8], "guess" + std::to_string(i)));
    }
    EXPECT_EQ(fetches_, 1 + 4);
}

TEST_F(processes_of_one_host, a_failure_of_one_spares_the_others_the_attempt) {
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_TRUE(finds(other_, "old"));
    break_down();
    pass(300s);
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_TRUE(finds(other_, "old"));
    EXPECT_EQ(fetches_, 2);
    pass(30s);
    EXPECT_TRUE(finds(other_, "old"));
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_EQ(fetches_, 3);
}

TEST_F(processes_of_one_host, one_that_starts_serves_what_was_fetched_before_it) {
    EXPECT_TRUE(finds(one_, "old"));
    break_down();
    pass(1h);
    auto late = make_process();
    EXPECT_TRUE(late->refresh(host_.now));
    EXPECT_EQ(fetches_, 2) << "an hour is too old to ask nobody";
    EXPECT_TRUE(finds(late, "old"));
    EXPECT_EQ(late->find("guess", host_.now).error(), key_fault::unknown);
}

TEST_F(processes_of_one_host, one_that_starts_fetches_nothing_where_the_keys_are_fresh) {
    EXPECT_TRUE(finds(one_, "old"));
    pass(299s);
    EXPECT_TRUE(make_process()->refresh(host_.now));
    EXPECT_EQ(fetches_, 1);
    pass(1s);
    EXPECT_TRUE(make_process()->refresh(host_.now));
    EXPECT_EQ(fetches_, 2);
}

TEST_F(processes_of_one_host, an_unknown_kid_waits_for_the_fetch_of_another) {
    EXPECT_TRUE(finds(one_, "old"));
    pass(5s);
    others_begin();
    host_.when_waited = [this] { others_publish("new"); };
    EXPECT_TRUE(finds(one_, "new"));
    EXPECT_EQ(fetches_, 1);
}

TEST_F(processes_of_one_host, a_known_kid_waits_for_nobody) {
    EXPECT_TRUE(finds(one_, "old"));
    pass(300s);
    others_begin();
    host_.when_waited = [] { FAIL() << "it waited"; };
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_EQ(fetches_, 1);
    EXPECT_EQ(one_->counts().hits, 1U);
}

TEST_F(processes_of_one_host, one_goes_on_where_the_fetch_of_another_brought_nothing) {
    EXPECT_TRUE(finds(one_, "old"));
    publish("new");
    pass(5s);
    others_begin();
    host_.when_waited = [this] { host_.taken = false; };
    EXPECT_FALSE(finds(one_, "new")) << "it is too early for another attempt";
    pass(5s);
    EXPECT_TRUE(finds(one_, "new"));
    EXPECT_EQ(fetches_, 2);
}

TEST_F(processes_of_one_host, a_key_set_without_keys_withdraws_them_everywhere) {
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_TRUE(finds(other_, "old"));
    reply_ = http_reply{200, jwks("")};
    pass(300s);
    EXPECT_FALSE(finds(one_, "old"));
    EXPECT_FALSE(finds(other_, "old"));
    EXPECT_EQ(fetches_, 2);
    EXPECT_EQ(make_process()->find("old", host_.now).error(), key_fault::unknown)
        << "one that starts knows that they were withdrawn";
}

TEST_F(processes_of_one_host, what_is_no_key_set_replaces_nothing) {
    EXPECT_TRUE(finds(one_, "old"));
    host_.published = "{}";
    host_.published_at = host_.now;
    ++host_.version;
    EXPECT_TRUE(finds(one_, "old"));
}

TEST_F(processes_of_one_host, count_what_they_were_spared_as_hits) {
    EXPECT_TRUE(finds(one_, "old"));
    EXPECT_TRUE(finds(other_, "old"));
    EXPECT_EQ(other_->counts().hits, 1U);
    EXPECT_EQ(other_->counts().fetched, 0U);
    EXPECT_EQ(one_->counts().fetched, 1U);
}

} // namespace
} // namespace mana::gate
