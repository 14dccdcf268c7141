#include "shared/gate/token.hpp"

#include "shared/gate/base64url.hpp"

#include <algorithm>
#include <array>
#include <boost/algorithm/string/predicate.hpp>
#include <cmath>
#include <jwt/jwt.hpp>
#include <memory>
#include <new>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdexcept>
#include <system_error>

namespace mana::gate {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::size_t signature_bytes = 64;

struct parts {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
    std::string_view signed_text; // header.payload, as sent
};

std::optional<parts> split(std::string_view token) {
    const auto first = token.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const auto second = token.find('.', first + 1);
    if (second == std::string_view::npos) return std::nullopt;
    const parts all{token.substr(0, first), token.substr(first + 1, second - first - 1),
                    token.substr(second + 1), token.substr(0, second)};
    // A third dot is in no alphabet and fails here too.
    const bool canonical = is_canonical_base64url(all.header) && is_canonical_base64url(all.payload) &&
                           is_canonical_base64url(all.signature);
    if (!canonical) return std::nullopt;
    return all;
}

// It knows of one `typ` alone; has_usable_type() knows more, and is asked after it.
bool is_tolerated(const std::error_code& failure) {
    return !failure || failure == jwt::DecodeErrc::TypMismatch;
}

// cpp-jwt reports some faults by error code and throws for others (an `alg` or `typ` that is no string, a
// payload that is no object), so both ways end in "nothing".
template<typename Part>
std::optional<json_t> parse(std::string_view encoded) {
    try {
        Part part;
        std::error_code failure;
        part.decode(encoded, failure);
        if (!is_tolerated(failure) || !part.create_json_obj().is_object()) return std::nullopt;
        return part.create_json_obj();
    } catch (...) {
        return std::nullopt;
    }
}

// Null where the member is missing or is no string.
const std::string* text_of(const json_t& object, const char* member) {
    const auto found = object.find(member);
    return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

// A time in seconds, with or without a fraction, brought into what sys_seconds can be compared with.
std::optional<sys_seconds> time_of(const json_t& claim) {
    constexpr double latest = 253402300799.0; // the end of year 9999
    if (!claim.is_number()) return std::nullopt;
    const double at = std::clamp(claim.get<double>(), 0.0, latest);
    return sys_seconds{seconds{static_cast<seconds::rep>(std::floor(at))}};
}

// UTF-8 is no question here: nlohmann's parser accepts no other strings.
bool is_user_id(const std::string& text) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    return !text.empty() && text.size() <= max_user_bytes &&
           std::none_of(text.begin(), text.end(), is_control);
}

// The type of a JWT (RFC 7519 §5.1) or of an access token (RFC 9068 §2.1), of which only the latter says what
// it is for. A media type may go without its "application/", and its case does not count (RFC 7515 §4.1.9).
bool has_usable_type(const json_t& header) {
    if (!header.contains("typ")) return true;
    const std::string* const type = text_of(header, "typ");
    if (type == nullptr) return false;
    const auto same = [type](std::string_view allowed) { return boost::algorithm::iequals(*type, allowed); };
    constexpr std::array usable{"jwt", "at+jwt", "application/jwt", "application/at+jwt"};
    return std::ranges::any_of(usable, same);
}

// The kid, or why this header cannot be one of ours.
boost::system::result<std::string, token_fault> read_header(std::string_view encoded) {
    const auto header = parse<jwt::jwt_header>(encoded);
    if (!header) return token_fault::malformed;
    const std::string* const algorithm = text_of(*header, "alg");
    if (algorithm == nullptr || *algorithm != "EdDSA") return token_fault::wrong_algorithm;
    if (header->contains("crit") || !has_usable_type(*header)) return token_fault::malformed;
    const std::string* const kid = text_of(*header, "kid");
    if (kid == nullptr || kid->empty()) return token_fault::unknown_key;
    return *kid;
}

struct free_context {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

bool is_signed_by(EVP_PKEY* key, std::string_view text, std::string_view signature) {
    const std::unique_ptr<EVP_MD_CTX, free_context> context{EVP_MD_CTX_new()};
    if (!context) throw std::bad_alloc{};
    // Errors left in the thread's queue would be taken for their own by TLS connections of the same thread.
    ERR_set_mark();
    const bool matches = EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) == 1 &&
                         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                          bytes_of(text), text.size()) == 1;
    ERR_pop_to_mark();
    return matches;
}

bool is_over(sys_seconds expires, sys_seconds now) {
    return now >= expires + clock_leeway;
}

bool is_to_come(sys_seconds starts, sys_seconds now) {
    return now + clock_leeway < starts;
}

// Of a token whose signature is good.
struct claims {
    identity who;
    std::optional<sys_seconds> starts;
};

boost::system::result<claims, token_fault> read_claims(std::string_view encoded, sys_seconds now) {
    const auto all = parse<jwt::jwt_payload>(encoded);
    if (!all) return token_fault::malformed;
    const auto exp = all->find("exp");
    const auto expires = exp == all->end() ? std::nullopt : time_of(*exp);
    if (!expires) return token_fault::no_expiry;
    if (is_over(*expires, now)) return token_fault::expired;
    std::optional<sys_seconds> starts;
    if (const auto nbf = all->find("nbf"); nbf != all->end()) {
        starts = time_of(*nbf);
        if (!starts) return token_fault::malformed;
        if (is_to_come(*starts, now)) return token_fault::not_yet_valid;
    }
    const std::string* const user = text_of(*all, "sub");
    if (user == nullptr || !is_user_id(*user)) return token_fault::no_subject;
    return claims{{*user, *expires}, starts};
}

// A token in form; nothing of it is proven yet.
struct unverified {
    parts text;
    std::string kid;
    std::string signature;
};

boost::system::result<unverified, token_fault> read_token(std::string_view token) {
    if (token.empty()) return token_fault::missing;
    if (token.size() > max_token_bytes) return token_fault::malformed;
    const auto all = split(token);
    if (!all) return token_fault::malformed;
    auto kid = read_header(all->header);
    if (!kid) return kid.error();
    auto signature = decode_base64url(all->signature);
    if (!signature || signature->size() != signature_bytes) return token_fault::bad_signature;
    return unverified{*all, std::move(*kid), std::move(*signature)};
}

whole_token_result verify_with(public_key key, unverified token, sys_seconds now) {
    if (!key || !is_signed_by(key.get(), token.text.signed_text, token.signature))
        return token_fault::bad_signature;
    auto said = read_claims(token.text.payload, now);
    if (!said) return said.error();
    return verified_token{std::move(said->who), said->starts, std::move(token.kid), std::move(key)};
}

token_result who_of(whole_token_result found) {
    if (!found) return found.error();
    return std::move(found->who);
}

} // namespace

std::string_view message(token_fault fault) noexcept {
    switch (fault) {
    case token_fault::missing:
        return "a bearer token is required";
    case token_fault::malformed:
        return "the token is not a well-formed JWT";
    case token_fault::wrong_algorithm:
        return "the token must be signed with EdDSA (Ed25519)";
    case token_fault::unknown_key:
        return "the token names no key that its issuer publishes";
    case token_fault::bad_signature:
        return "the token's signature does not match";
    case token_fault::expired:
        return "the token has expired";
    case token_fault::not_yet_valid:
        return "the token is not valid yet";
    case token_fault::no_expiry:
        return "the token has no usable expiry (exp)";
    case token_fault::no_subject:
        return "the token has no usable subject (sub)";
    case token_fault::keys_unavailable:
        return "tokens cannot be verified at the moment, try again";
    }
    return "the token is not accepted";
}

void throw_exception_from_error(token_fault fault, const boost::source_location& /*where*/) {
    throw std::runtime_error{std::string{message(fault)}};
}

std::optional<std::string_view> bearer_token(std::string_view authorization) noexcept {
    constexpr std::string_view scheme = "bearer ";
    if (authorization.size() < scheme.size()) return std::nullopt;
    const auto same = [](char lower, char sent) {
        return (sent >= 'A' && sent <= 'Z' ? sent - 'A' + 'a' : sent) == lower;
    };
    if (!std::equal(scheme.begin(), scheme.end(), authorization.begin(), same)) return std::nullopt;
    const auto first = authorization.find_first_not_of(' ', scheme.size());
    if (first == std::string_view::npos) return std::nullopt;
    return authorization.substr(first, authorization.find_last_not_of(' ') - first + 1);
}

std::chrono::sys_seconds ends_at(const identity& who, std::chrono::system_clock::time_point opened) noexcept {
    return who.expires > opened ? who.expires : who.expires + clock_leeway;
}

whole_token_result verify_whole(std::string_view token, key_set& keys, sys_seconds now,
                                key_set::clock::time_point steady_now) {
    auto read = read_token(token);
    if (!read) return read.error();
    auto key = keys.find(read->kid, steady_now);
    if (!key)
        return key.error() == key_fault::unknown ? token_fault::unknown_key : token_fault::keys_unavailable;
    auto found = verify_with(*key, *read, now);
    if (found || found.error() != token_fault::bad_signature) return found;
    public_key other = keys.renewed(read->kid, *key, steady_now);
    return verify_with(std::move(other), std::move(*read), now);
}

token_result verify_token(std::string_view token, key_set& keys, sys_seconds now,
                          key_set::clock::time_point steady_now) {
    return who_of(verify_whole(token, keys, now, steady_now));
}

std::optional<token_fault> fault_of_times(const verified_token& token, sys_seconds now) noexcept {
    if (is_over(token.who.expires, now)) return token_fault::expired;
    if (token.starts && is_to_come(*token.starts, now)) return token_fault::not_yet_valid;
    return std::nullopt;
}

std::optional<token_result> verify_token_at_once(std::string_view token, key_set& keys, sys_seconds now,
                                                 key_set::clock::time_point steady_now) {
    auto read = read_token(token);
    if (!read) return read.error();
    auto key = keys.find_held(read->kid, steady_now);
    if (!key) return std::nullopt;
    auto found = verify_with(std::move(key), std::move(*read), now);
    if (!found && found.error() == token_fault::bad_signature && keys.may_renew(steady_now))
        return std::nullopt;
    return who_of(std::move(found));
}

} // namespace mana::gate
