// Who is asking: verification of the JWT that a request carries (SPEC §6).
#pragma once

#include "shared/gate/key_set.hpp"

#include <boost/system/result.hpp>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mana::gate {

inline constexpr std::size_t max_token_bytes = 8192;
inline constexpr std::size_t max_user_bytes = 255;

// How far this host's clock and the issuer's may be apart, for exp and nbf.
inline constexpr std::chrono::seconds clock_leeway{60};

struct identity {
    std::string user; // sub: 1 to 255 bytes of UTF-8 without control characters
    std::chrono::sys_seconds
        expires; // exp as the token says it, leeway not added; at most the end of year 9999
};

// When a connection ends that this identity opens: with its token, or, where that was accepted within the
// leeway only, with the leeway.
[[nodiscard]] std::chrono::sys_seconds ends_at(const identity& who,
                                               std::chrono::system_clock::time_point opened) noexcept;

// All but keys_unavailable are the token's fault (401); that one is ours (503, the client should try again).
enum class token_fault {
    missing,
    malformed,
    wrong_algorithm,
    unknown_key,
    bad_signature,
    expired,
    not_yet_valid,
    no_expiry,
    no_subject,
    keys_unavailable,
};

// One line for the user, without anything of the token.
[[nodiscard]] std::string_view message(token_fault fault) noexcept;

using token_result = boost::system::result<identity, token_fault>;

// What boost's result<…>::value() throws for a token_fault: std::runtime_error with its message.
[[noreturn]] void throw_exception_from_error(token_fault fault, const boost::source_location& where);

// The token of an Authorization header: "Bearer <token>", the scheme in any case. Nothing where the scheme is
// another one or no token follows. A view into `authorization`.
[[nodiscard]] std::optional<std::string_view> bearer_token(std::string_view authorization) noexcept;

// EdDSA with Ed25519 only. A `typ` other than JWT and at+jwt (RFC 9068), each also as a media type and in any
// case, and header members marked critical (RFC 7515 §4.1.11) are refused; what else the header says is
// ignored. Claims are read only once the signature is known to be good. An empty token is `missing`. May
// block in keys.find(). Thread-safe. Both times are those of this call.
[[nodiscard]] token_result verify_token(std::string_view token, key_set& keys, std::chrono::sys_seconds now,
                                        key_set::clock::time_point steady_now);

// What stays true of a token whose signature is good, for as long as its key serves.
struct verified_token {
    identity who;
    std::optional<std::chrono::sys_seconds> starts; // nbf as the token says it
    std::string kid;
    public_key key; // that the signature was verified with
};

using whole_token_result = boost::system::result<verified_token, token_fault>;

// verify_token(), for who goes on with what it found.
[[nodiscard]] whole_token_result verify_whole(std::string_view token, key_set& keys,
                                              std::chrono::sys_seconds now,
                                              key_set::clock::time_point steady_now);

// Whether its time is over or has not come yet, with the leeway: expired, not_yet_valid or nothing.
[[nodiscard]] std::optional<token_fault> fault_of_times(const verified_token& token,
                                                        std::chrono::sys_seconds now) noexcept;

// The same as verify_token(), but it never blocks: nothing where that might have to fetch or wait, since the
// key is not held or no longer fresh, or its signature does not match and the key may have become another
// one.
[[nodiscard]] std::optional<token_result> verify_token_at_once(std::string_view token, key_set& keys,
                                                               std::chrono::sys_seconds now,
                                                               key_set::clock::time_point steady_now);

} // namespace mana::gate
