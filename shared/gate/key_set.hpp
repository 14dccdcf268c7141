// The public keys that tokens are verified with: fetched from JWKS_URL, kept for five minutes (SPEC §6).
#pragma once

#include "shared/gate/http_fetch.hpp"
#include "shared/gate/key_share.hpp"

#include <boost/system/result.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <openssl/types.h>
#include <optional>
#include <string>
#include <string_view>

namespace mana::gate {

// Imported once, since in OpenSSL 3.0 an import costs far more than a verification. Never null in a key_map.
using public_key = std::shared_ptr<EVP_PKEY>;
using key_map = std::map<std::string, public_key, std::less<>>; // by kid

// The Ed25519 keys of a JWKS document (RFC 7517, RFC 8037): kty OKP, crv Ed25519, x of 32 bytes, a kid, and
// no use but signatures. Every other key is skipped, so there may be none; of two with one kid the first
// counts. A document that is no JWKS is an error. Pure.
[[nodiscard]] boost::system::result<key_map, fetch_error> parse_jwks(std::string_view text);

// Fetches the document. May block, up to its own time-out; a throw counts as a failure.
using jwks_fetcher = std::function<fetch_result()>;

// One GET of `url` with a connection of its own: safe to carry over fork().
[[nodiscard]] jwks_fetcher jwks_over_http(std::string url,
                                          std::chrono::milliseconds total = std::chrono::milliseconds{2000});

enum class key_fault {
    unknown,     // the newest keys that could be had do not hold this kid: the token is refused (401)
    unavailable, // no keys could be had since the start, nor from before: nobody can be verified (503)
};

// How a key set was used since it was made: numbers that only grow. Whoever wants the use of a while takes
// the difference of two.
struct key_counts {
    std::uint64_t hits = 0;    // find() had the key and fetched nothing
    std::uint64_t misses = 0;  // find() fetched, waited for another's fetch, or could do neither
    std::uint64_t fetched = 0; // documents that replaced the keys
    std::uint64_t failed = 0;  // fetches that did not
};

// The cache, one a process; what it fetches it shares with the other processes of the host, and they with it.
// Thread-safe; the lock is never held while fetching or waiting. A caller waits for a fetch only where it
// makes that fetch itself, or where its kid is not held while another thread or process fetches.
//
// When one of them fetches: for a kid that it does not hold, or whose key does not match a token's signature,
// at most every 5 s; for one that it holds, once the keys are 5 minutes old, and after a failure not again
// for 30 s, since the old keys go on serving meanwhile. These times count from the fetches of all. A fetched
// document replaces all keys, in the other processes by their next find(): a key that is not in it, or is
// another one now, stops serving, and so do all where none of our kind is in it. A failure keeps them all,
// however old.
class key_set {
  public:
    using clock = std::chrono::steady_clock;

    static constexpr std::chrono::seconds fresh_for{300};
    static constexpr std::chrono::seconds unknown_retry{5};
    static constexpr std::chrono::seconds stale_retry{30};

    explicit key_set(jwks_fetcher fetch, std::unique_ptr<key_share> share = no_share())
        : fetch_{std::move(fetch)}, share_{std::move(share)} {}

    [[nodiscard]] boost::system::result<public_key, key_fault> find(std::string_view kid,
                                                                    clock::time_point now);

    // The key, where find() would have it without a fetch of its own and without waiting for another's; else
    // null. Counted as a hit, or not at all.
    [[nodiscard]] public_key find_held(std::string_view kid, clock::time_point now);

    // For a token whose signature `than` does not match: the key of its kid, where that is another one by
    // now, else null. It fetches as for a kid that is not held, every 5 s at most. Not counted as hit or
    // miss.
    [[nodiscard]] public_key renewed(std::string_view kid, const public_key& than, clock::time_point now);

    // Whether renewed() would fetch.
    [[nodiscard]] bool may_renew(clock::time_point now);

    // Fetches now, however short ago anyone did, unless the keys that are shared are not 5 minutes old or
    // another thread or process fetches. For a prefork master, whose children inherit the keys and so can
    // serve from their first request on. True if any keys are held afterwards.
    bool refresh(clock::time_point now);

    [[nodiscard]] key_counts counts() const;

  private:
    class outside_lock;

    void replace_keys(key_map keys, clock::time_point fetched);
    void look_around(clock::time_point now);
    void await_fetch(std::unique_lock<std::mutex>& lock, clock::time_point now);
    bool fetch_in_turn(std::unique_lock<std::mutex>& lock, clock::time_point now);
    [[nodiscard]] bool fresh(clock::time_point now) const;
    [[nodiscard]] bool due(bool known, clock::time_point now) const;

    const jwks_fetcher fetch_;
    mutable std::mutex mutex_;               // guards all below
    const std::unique_ptr<key_share> share_; // but for its await_turn()
    std::condition_variable fetched_;
    bool fetching_ = false; // or waiting for a process that does
    key_map keys_;
    key_counts counts_;
    std::optional<clock::time_point> last_attempt_; // anyone's
    std::optional<clock::time_point> last_success_; // that keys_ are from
};

} // namespace mana::gate
