// Which tokens open the gate (SPEC §6).
#include "shared/gate/base64url.hpp"
#include "shared/gate/token.hpp"
#include "tests/unit/token_maker.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <ostream>
#include <stdexcept>
#include <string>

namespace mana::gate {

// Found by GoogleTest, so that a failure names the fault.
static void PrintTo(token_fault fault, std::ostream* out) {
    *out << message(fault);
}

namespace {

using namespace std::chrono_literals;
using testing::base64url;
using testing::hs256_token;
using testing::make_token;
using testing::signing_key;

constexpr std::string_view good_header = R"({"alg":"EdDSA","kid":"main","typ":"JWT"})";
constexpr std::chrono::sys_seconds now{std::chrono::seconds{1'800'000'000}};

std::string claims(std::string_view exp, std::string_view more = "") {
    return R"({"sub":"user-1","exp":)" + std::string{exp} + std::string{more} + "}";
}

class token_test : public ::testing::Test {
  protected:
    token_result verify(std::string_view token) { return verify_token(token, keys_, now, {}); }

    token_result verify(std::string_view header, std::string_view payload) {
        return verify(make_token(key_, header, payload));
    }

    token_fault fault(std::string_view token) {
        const token_result outcome = verify(token);
        EXPECT_FALSE(outcome) << "accepted: " << token.substr(0, 200);
        return outcome ? token_fault::missing : outcome.error();
    }

    token_fault fault(std::string_view header, std::string_view payload) {
        return fault(make_token(key_, header, payload));
    }

    // What the header says where only the payload matters.
    token_fault fault_of_claims(std::string_view payload) { return fault(good_header, payload); }

    const std::string good_payload_ = claims("1800000600");
    const signing_key key_{7};
    const signing_key stranger_{8};
    key_set keys_{[this]() -> fetch_result { return http_reply{200, testing::jwks(key_.jwk("main"))}; }};
};

TEST_F(token_test, accepts_a_good_token_and_says_who_and_until_when) {
    const auto outcome = verify(good_header, good_payload_);
    ASSERT_TRUE(outcome) << message(outcome.error());
    EXPECT_EQ(outcome->user, "user-1");
    EXPECT_EQ(outcome->expires.time_since_epoch().count(), 1'800'000'600);
}

TEST_F(token_test, accepts_a_token_without_typ_and_with_members_it_does_not_know) {
    EXPECT_TRUE(verify(R"({"alg":"EdDSA","kid":"main","x":[1]})",
                       claims("1800000600", R"(,"role":"admin","aud":["a"])")));
}

TEST_F(token_test, accepts_the_types_of_jwts_and_access_tokens_as_media_types_and_in_any_case) {
    for (const std::string_view type : {"JWT", "jwt", "Jwt", "at+jwt", "AT+JWT", "application/jwt",
                                        "application/at+jwt", "Application/AT+JWT", "APPLICATION/JWT"}) {
        const auto outcome =
            verify(R"({"alg":"EdDSA","kid":"main","typ":")" + std::string{type} + R"("})", good_payload_);
        EXPECT_TRUE(outcome) << type << ": " << message(outcome.error());
    }
}

// What an issuer signs for another purpose opens nothing here (RFC 8725 §3.11).
TEST_F(token_test, refuses_the_types_of_other_tokens) {
    for (const std::string_view type :
         {"", "JOSE", "logout+jwt", "dpop+jwt", "secevent+jwt", "id_token", "at", "jwt ", "application/",
          "application/application/jwt", "text/jwt", "at+jwt\\u0000", "application/at+jwt;x=1"})
        EXPECT_EQ(
            fault(R"({"alg":"EdDSA","kid":"main","typ":")" + std::string{type} + R"("})", good_payload_),
            token_fault::malformed)
            << type;
}

TEST_F(token_test, calls_an_empty_token_missing) {
    EXPECT_EQ(fault(""), token_fault::missing);
}

TEST_F(token_test, value_of_a_refused_token_throws_its_message) {
    EXPECT_THROW((void)verify("x").value(), std::runtime_error);
}

// Form.

TEST_F(token_test, refuses_what_has_not_exactly_three_parts) {
    const std::string good = make_token(key_, good_header, good_payload_);
    const auto last_dot = good.rfind('.');
    for (const std::string& token :
         {std::string{"x"}, std::string{"."}, std::string{".."}, std::string{"..."}, good.substr(0, last_dot),
          good.substr(0, last_dot + 1), good + ".", good + ".AAAA", "." + good, "AAAA." + good,
          base64url(good_header) + ".." + good.substr(last_dot + 1)})
        EXPECT_EQ(fault(token), token_fault::malformed) << token;
}

TEST_F(token_test, refuses_padding_and_characters_outside_base64url) {
    const std::string good = make_token(key_, good_header, good_payload_);
    const std::string nul(1, '\0');
    for (const std::string& token : {good + "=", good + "==", good + "\n", " " + good, good + nul,
                                     good + "\xff", "+" + good, "/" + good, "%41" + good})
        EXPECT_EQ(fault(token), token_fault::malformed) << token;
}

TEST_F(token_test, refuses_a_second_spelling_of_a_good_signature) {
    // 64 bytes end in a group of two characters, four bits of which decoding drops.
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string token = make_token(key_, good_header, good_payload_);
    token.back() = alphabet[alphabet.find(token.back()) + 1];
    EXPECT_EQ(fault(token), token_fault::malformed);
}

TEST_F(token_test, refuses_a_token_above_eight_kibibytes_unread) {
    const std::string filler(max_token_bytes, 'x');
    EXPECT_EQ(fault_of_claims(claims("1800000600", R"(,"x":")" + filler + '"')), token_fault::malformed);
    EXPECT_EQ(fault(std::string(50'000'000, 'A')), token_fault::malformed);
}

TEST_F(token_test, refuses_parts_that_are_no_json_object) {
    for (const std::string part : {"", "x", "[]", "null", "1", "true", "\"text\"", "[{\"alg\":\"EdDSA\"}]",
                                   "{", "{}{}", "\xff\xfe", "{\"alg\":\"EdDSA\",\"kid\":\"\xff\"}"}) {
        if (!part.empty() && part != "[]" && part[0] != '[') {
            EXPECT_EQ(fault(part, good_payload_), token_fault::malformed) << part;
        }
        EXPECT_EQ(fault_of_claims(part), token_fault::malformed) << part;
    }
}

TEST_F(token_test, survives_deep_nesting) {
    EXPECT_EQ(fault(std::string(5000, '['), good_payload_), token_fault::malformed);
    const std::string deep = std::string(2500, '[') + std::string(2500, ']');
    EXPECT_TRUE(verify(good_header, claims("1800000600", R"(,"x":)" + deep)));
}

// Header.

TEST_F(token_test, refuses_every_algorithm_but_eddsa) {
    for (const std::string_view algorithm : {"none", "None", "HS256", "RS256", "ES256", "eddsa", "EDDSA",
                                             "Ed25519", "EdDSA ", "", "EdDSA\\u0000"}) {
        const std::string header = R"({"alg":")" + std::string{algorithm} + R"(","kid":"main","typ":"JWT"})";
        EXPECT_EQ(fault(header, good_payload_), token_fault::wrong_algorithm) << algorithm;
    }
}

TEST_F(token_test, refuses_alg_none_without_a_signature) {
    const std::string unsigned_text =
        base64url(R"({"alg":"none","kid":"main"})") + '.' + base64url(good_payload_);
    EXPECT_EQ(fault(unsigned_text + '.'), token_fault::malformed);
    EXPECT_EQ(fault(unsigned_text + ".AA"), token_fault::wrong_algorithm);
}

TEST_F(token_test, refuses_hs256_keyed_with_the_public_key) {
    const std::string header = R"({"alg":"HS256","kid":"main","typ":"JWT"})";
    EXPECT_EQ(fault(hs256_token(key_.public_bytes(), header, good_payload_)), token_fault::wrong_algorithm);
    EXPECT_EQ(fault(hs256_token(base64url(key_.public_bytes()), header, good_payload_)),
              token_fault::wrong_algorithm);
    EXPECT_EQ(fault(hs256_token(key_.public_bytes(), good_header, good_payload_)),
              token_fault::bad_signature);
}

TEST_F(token_test, refuses_alg_and_typ_that_are_no_strings) {
    for (const std::string_view odd : {"1", "null", "true", "[]", "{}", "[\"EdDSA\"]", "1e308"}) {
        const std::string text{odd};
        EXPECT_EQ(fault(R"({"kid":"main","alg":)" + text + "}", good_payload_), token_fault::malformed)
            << odd;
        EXPECT_EQ(fault(R"({"kid":"main","alg":"EdDSA","typ":)" + text + "}", good_payload_),
                  token_fault::malformed)
            << odd;
    }
}

TEST_F(token_test, refuses_a_header_without_alg) {
    EXPECT_EQ(fault(R"({"kid":"main"})", good_payload_), token_fault::malformed);
    EXPECT_EQ(fault("{}", good_payload_), token_fault::malformed);
    EXPECT_EQ(fault("[]", good_payload_), token_fault::malformed);
}

TEST_F(token_test, refuses_members_marked_critical) {
    const std::string header = R"({"alg":"EdDSA","kid":"main","crit":["b64"],"b64":false})";
    EXPECT_EQ(fault(header, good_payload_), token_fault::malformed);
}

TEST_F(token_test, ignores_a_key_that_the_token_brings_itself) {
    const std::string header = R"({"alg":"EdDSA","kid":"main","jwk":)" + stranger_.jwk("main") + "}";
    EXPECT_EQ(fault(make_token(stranger_, header, good_payload_)), token_fault::bad_signature);
}

TEST_F(token_test, refuses_a_missing_odd_or_unknown_kid) {
    for (const std::string_view kid :
         {"", R"("kid":"",)", R"("kid":7,)", R"("kid":null,)", R"("kid":["main"],)", R"("kid":"other",)",
          R"("kid":"main\u0000",)", R"("kid":"../../etc/passwd",)"}) {
        const std::string header = "{" + std::string{kid} + R"("alg":"EdDSA"})";
        EXPECT_EQ(fault(header, good_payload_), token_fault::unknown_key) << kid;
    }
}

// Signature.

TEST_F(token_test, refuses_another_keys_signature) {
    EXPECT_EQ(fault(make_token(stranger_, good_header, good_payload_)), token_fault::bad_signature);
}

TEST_F(token_test, refuses_changed_claims_under_an_old_signature) {
    const std::string good = make_token(key_, good_header, good_payload_);
    const std::string forged = base64url(good_header) + '.' +
                               base64url(R"({"sub":"someone-else","exp":1800000600})") +
                               good.substr(good.rfind('.'));
    EXPECT_EQ(fault(forged), token_fault::bad_signature);
}

TEST_F(token_test, refuses_signatures_of_the_wrong_length) {
    const std::string text = base64url(good_header) + '.' + base64url(good_payload_);
    const std::string signature = key_.sign(text);
    for (const std::string& odd :
         {signature.substr(0, 1), signature.substr(0, 63), signature + '\0', signature + signature})
        EXPECT_EQ(fault(text + '.' + base64url(odd)), token_fault::bad_signature) << odd.size();
}

TEST_F(token_test, refuses_a_signature_on_another_curve) {
    EXPECT_EQ(fault(testing::ed448_token(good_header, good_payload_)), token_fault::bad_signature);
}

TEST_F(token_test, refuses_a_signature_with_any_bit_flipped) {
    const std::string text = base64url(good_header) + '.' + base64url(good_payload_);
    const std::string signature = key_.sign(text);
    for (std::size_t bit = 0; bit < signature.size() * 8; ++bit) {
        std::string flipped = signature;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
        EXPECT_EQ(fault(text + '.' + base64url(flipped)), token_fault::bad_signature) << bit;
    }
}

TEST(token_of_a_new_key, opens_the_gate_though_the_old_one_had_its_kid) {
    const signing_key old{7};
    const signing_key next{8};
    std::string published = testing::jwks(old.jwk("main"));
    int fetches = 0;
    key_set keys{[&]() -> fetch_result {
        ++fetches;
        return http_reply{200, published};
    }};
    const key_set::clock::time_point start{};
    const auto outcome = [&](const signing_key& by, std::chrono::milliseconds after) {
        return verify_token(make_token(by, good_header, claims("1800000600")), keys, now, start + after);
    };
    ASSERT_TRUE(outcome(old, 0s));
    published = testing::jwks(next.jwk("main"));
    EXPECT_FALSE(outcome(next, 4s)) << "too soon after the last fetch";
    const auto token = make_token(next, good_header, claims("1800000600"));
    EXPECT_FALSE(verify_token_at_once(token, keys, now, start + 5s)) << "a fetch is to be waited for";
    EXPECT_TRUE(outcome(next, 5s));
    EXPECT_EQ(fetches, 2);
    EXPECT_FALSE(outcome(old, 6s));
    for (int i = 0; i < 40; ++i) EXPECT_FALSE(outcome(signing_key{9}, 7s + i * 50ms)) << "a forged one";
    EXPECT_EQ(fetches, 2) << "who forges tokens makes no more fetches than who invents kids";
}

TEST_F(token_test, reads_no_claim_of_a_forged_token) {
    EXPECT_EQ(fault(make_token(stranger_, good_header, claims("1"))), token_fault::bad_signature);
    EXPECT_EQ(fault(make_token(stranger_, good_header, "no json")), token_fault::bad_signature);
}

// Claims.

TEST_F(token_test, expires_one_minute_after_exp) {
    EXPECT_TRUE(verify(good_header, claims("1799999941")));
    EXPECT_EQ(fault_of_claims(claims("1799999940")), token_fault::expired);
    EXPECT_EQ(fault_of_claims(claims("0")), token_fault::expired);
    EXPECT_EQ(fault_of_claims(claims("-1")), token_fault::expired);
    EXPECT_EQ(fault_of_claims(claims("-1e308")), token_fault::expired);
}

TEST_F(token_test, reads_a_fractional_and_a_huge_exp) {
    EXPECT_EQ(verify(good_header, claims("1800000600.9")).value().expires.time_since_epoch().count(),
              1'800'000'600);
    EXPECT_EQ(verify(good_header, claims("1.8000006e9")).value().expires.time_since_epoch().count(),
              1'800'000'600);
    for (const std::string_view huge :
         {"1e308", "9223372036854775807", "18446744073709551615", "1e20", "99999999999999999999999999"})
        EXPECT_EQ(verify(good_header, claims(huge)).value().expires.time_since_epoch().count(),
                  253'402'300'799)
            << huge;
}

TEST_F(token_test, refuses_an_exp_beyond_any_number) {
    EXPECT_EQ(fault_of_claims(claims("1e400")), token_fault::malformed);
    EXPECT_EQ(fault_of_claims(claims("NaN")), token_fault::malformed);
}

TEST_F(token_test, requires_exp_as_a_number) {
    EXPECT_EQ(fault_of_claims(R"({"sub":"user-1"})"), token_fault::no_expiry);
    for (const std::string_view odd : {"null", "\"1800000600\"", "true", "[1800000600]", "{}"})
        EXPECT_EQ(fault_of_claims(claims(odd)), token_fault::no_expiry) << odd;
}

TEST_F(token_test, starts_one_minute_before_nbf) {
    EXPECT_TRUE(verify(good_header, claims("1800000600", R"(,"nbf":1800000060)")));
    EXPECT_EQ(fault_of_claims(claims("1800000600", R"(,"nbf":1800000061)")), token_fault::not_yet_valid);
    EXPECT_EQ(fault_of_claims(claims("1800000600", R"(,"nbf":1e308)")), token_fault::not_yet_valid);
    EXPECT_EQ(fault_of_claims(claims("1800000600", R"(,"nbf":"0")")), token_fault::malformed);
}

TEST_F(token_test, requires_sub_as_a_usable_string) {
    EXPECT_EQ(fault_of_claims(R"({"exp":1800000600})"), token_fault::no_subject);
    const std::string too_long = '"' + std::string(max_user_bytes + 1, 'u') + '"';
    for (const std::string& odd :
         {std::string{"\"\""}, std::string{"null"}, std::string{"7"}, std::string{"[\"u\"]"},
          std::string{R"("a\u0000b")"}, std::string{R"("a\nb")"}, std::string{R"("\u007f")"}, too_long})
        EXPECT_EQ(fault_of_claims(R"({"exp":1800000600,"sub":)" + odd + "}"), token_fault::no_subject) << odd;
}

TEST_F(token_test, takes_a_sub_of_the_full_length_and_beyond_ascii) {
    const std::string longest(max_user_bytes, 'u');
    EXPECT_EQ(verify(good_header, R"({"exp":1800000600,"sub":")" + longest + "\"}").value().user, longest);
    EXPECT_EQ(verify(good_header, R"({"exp":1800000600,"sub":"\u00fc"})").value().user, "\xc3\xbc");
}

TEST_F(token_test, refuses_broken_unicode_in_claims) {
    EXPECT_EQ(fault_of_claims("{\"exp\":1800000600,\"sub\":\"\xc3\"}"), token_fault::malformed);
    EXPECT_EQ(fault_of_claims(R"({"exp":1800000600,"sub":"\ud800"})"), token_fault::malformed);
}

// Keys.

TEST_F(token_test, accepts_each_key_of_a_rotation_for_its_own_tokens_alone) {
    key_set both{[this]() -> fetch_result {
        return http_reply{200, testing::jwks(key_.jwk("main") + "," + stranger_.jwk("next"))};
    }};
    const auto accepts = [&](const signing_key& signer, std::string_view kid) {
        const std::string header = R"({"alg":"EdDSA","kid":")" + std::string{kid} + "\"}";
        return verify_token(make_token(signer, header, good_payload_), both, now, {}).has_value();
    };
    EXPECT_TRUE(accepts(key_, "main"));
    EXPECT_TRUE(accepts(stranger_, "next"));
    EXPECT_FALSE(accepts(key_, "next"));
    EXPECT_FALSE(accepts(stranger_, "main"));
}

TEST_F(token_test, looks_for_no_key_before_the_form_is_right) {
    int fetches = 0;
    key_set counted{[&]() -> fetch_result {
        ++fetches;
        return fetch_error{"down"};
    }};
    for (const std::string& token :
         {std::string{"a.b.c"}, std::string(max_token_bytes + 1, 'A'), make_token(key_, "{}", good_payload_),
          make_token(key_, R"({"alg":"none","kid":"x"})", good_payload_),
          make_token(key_, R"({"alg":"EdDSA"})", good_payload_),
          testing::ed448_token(good_header, good_payload_)})
        EXPECT_FALSE(verify_token(token, counted, now, {}));
    EXPECT_EQ(fetches, 0);
}

TEST_F(token_test, tells_that_keys_are_unavailable_rather_than_refusing_the_token) {
    key_set none{[]() -> fetch_result { return fetch_error{"down"}; }};
    const auto outcome = verify_token(make_token(key_, good_header, good_payload_), none, now, {});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), token_fault::keys_unavailable);
}

TEST_F(token_test, is_verified_at_once_where_its_key_is_held) {
    const auto at_once = [&](const std::string& token) {
        return verify_token_at_once(token, keys_, now, {});
    };
    const auto good = make_token(key_, good_header, good_payload_);
    EXPECT_FALSE(at_once(good)); // its key would have to be fetched
    ASSERT_TRUE(verify(good));
    ASSERT_TRUE(at_once(good));
    EXPECT_TRUE(at_once(good)->has_value());
    EXPECT_EQ(at_once(make_token(stranger_, good_header, good_payload_))->error(),
              token_fault::bad_signature);
    EXPECT_EQ(at_once("a.b.c")->error(), token_fault::malformed);
}

TEST(bearer_token, is_what_follows_the_scheme_in_any_case) {
    EXPECT_EQ(bearer_token("Bearer a.b.c"), "a.b.c");
    EXPECT_EQ(bearer_token("bearer a.b.c"), "a.b.c");
    EXPECT_EQ(bearer_token("BEARER   a.b.c  "), "a.b.c");
}

TEST(bearer_token, is_nothing_under_another_scheme_or_without_a_token) {
    for (const std::string_view header :
         {"", "Bearer", "Bearer ", "Bearer    ", "Basic dTpw", "Bearera.b.c", "a.b.c"})
        EXPECT_EQ(bearer_token(header), std::nullopt) << header;
}

TEST(base64url, decodes_the_canonical_form_only) {
    EXPECT_EQ(decode_base64url("Zg"), "f");
    EXPECT_EQ(decode_base64url("Zm8"), "fo");
    EXPECT_EQ(decode_base64url("Zm9v"), "foo");
    EXPECT_EQ(decode_base64url("-_-_"), "\xfb\xff\xbf");
    for (const std::string_view odd : {"", "Z", "Zh", "Zm9", "Zm9vZ", "Zg==", "Zm8=", "Zm 8", "+/+/"})
        EXPECT_EQ(decode_base64url(odd), std::nullopt) << odd;
}

} // namespace
} // namespace mana::gate
