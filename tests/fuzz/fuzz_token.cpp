// Tokens: none is accepted but those that the key signed, whatever stands in them.
#include "shared/gate/key_set.hpp"
#include "shared/gate/token.hpp"
#include "tests/fuzz/property.hpp"
#include "tests/unit/token_maker.hpp"

#include <algorithm>
#include <chrono>
#include <string>

namespace mana::fuzz {
namespace {

using namespace std::chrono_literals;
using gate::token_fault;
using gate::token_result;

constexpr std::chrono::sys_seconds now = std::chrono::sys_days{std::chrono::year{2026} / 1 / 31};
constexpr std::string_view good_header = R"({"alg":"EdDSA","typ":"JWT","kid":"k1"})";

// Made once: OpenSSL takes longer to import a key than to use it.
const testing::signing_key& key() {
    static const testing::signing_key made{1};
    return made;
}

const testing::signing_key& key_of_another() {
    static const testing::signing_key made{2};
    return made;
}

token_result verified(std::string_view token) {
    static gate::key_set keys{[] {
        return gate::fetch_result{gate::http_reply{200, testing::jwks(key().jwk("k1"))}};
    }};
    // The keys are never old: one fetch is enough.
    return gate::verify_token(token, keys, now, gate::key_set::clock::time_point{1h});
}

void check_identity(const gate::identity& who) {
    must(!who.user.empty() && who.user.size() <= gate::max_user_bytes, "a user has a name of usable length");
    must(std::ranges::none_of(who.user, [](char c) { return static_cast<unsigned char>(c) < 0x20; }),
         "without control characters");
    must(now < who.expires + gate::clock_leeway, "an expired token is refused");
}

// Ed25519 gives one signature for one text, so what is accepted must be what the key would write.
void check_as_sent(std::string_view token) {
    const auto who = verified(token);
    if (!who) return;
    const auto text = token.substr(0, token.rfind('.'));
    must(token.substr(text.size() + 1) == testing::base64url(key().sign(text)), "only the key's own pass");
    check_identity(*who);
}

// One bit of a good token is turned over.
void check_forged(std::string token, std::size_t at, unsigned bit) {
    auto& letter = token[at % token.size()];
    letter = static_cast<char>(static_cast<unsigned char>(letter) ^ (1U << bit % 8U));
    must(!verified(token), "a token that was changed is refused");
}

void check_signed(std::string_view header, std::string_view payload) {
    const auto token = testing::make_token(key(), header, payload);
    const auto who = verified(token);
    if (who) check_identity(*who);
    if (header == good_header && token.size() <= gate::max_token_bytes)
        must(who || who.error() != token_fault::bad_signature, "what the key signed is known as such");
    if (who) check_forged(token, payload.size() * 31 + header.size(), static_cast<unsigned>(payload.size()));
    must(!verified(testing::make_token(key_of_another(), header, payload)),
         "another key's tokens are refused");
    must(!verified(testing::hs256_token(key().public_bytes(), header, payload)),
         "and so are those that take the public key for a secret");
}

void check_header_of_authorization(std::string_view text) {
    const auto token = gate::bearer_token(text);
    if (token)
        must(!token->empty() && !token->starts_with(' ') && !token->ends_with(' '),
             "a token follows the scheme");
}

} // namespace
} // namespace mana::fuzz

// A token as sent; or, in two lines, the header and the payload of one that the key signs; the header may be
// empty for a good one.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mana::fuzz;
    const auto text = text_of(data, size);
    check_as_sent(text);
    check_header_of_authorization(text);
    if (const auto line_end = text.find('\n'); line_end != std::string_view::npos) {
        const auto header = text.substr(0, line_end);
        check_signed(header.empty() ? good_header : header, text.substr(line_end + 1));
    }
    return 0;
}
