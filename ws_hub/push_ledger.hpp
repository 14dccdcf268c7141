// Which pushes this hub has met, whoever told it first: Redis, which is fast, or the log, which misses
// nothing. Pure. Thread-safe: the io thread and the sweep of the log use it.
//
// What is told is a push in one scope: its key is the scope and the position. One transaction may have the
// same position in several scopes (rows of other programs that are taken up together), and each is told by
// itself.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/sync/time.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

namespace mana::hub {

/// Who told of a push.
enum class news_source { redis, log };

/// What is told once: a push in a scope.
struct push_key {
    sync::position newest; ///< the epoch: its cursor cannot be read
    std::string scope;
    bool operator==(const push_key&) const = default;
};
push_key key_of(const store::notification& push);

struct hash_of_push_key {
    std::size_t operator()(const push_key& key) const noexcept;
};

class push_ledger {
  public:
    using clock = std::chrono::steady_clock;

    // A push that comes to be known a second time after more than this, or after so many others, counts as
    // new: a client is told once too often, which does no harm.
    static constexpr std::chrono::minutes memory{5};
    static constexpr std::size_t capacity = 200'000;

    /// Notes where a push was told, and says whether that is the first time.
    bool first_news(const store::notification& push, news_source from, clock::time_point now);

    /// Whether Redis told of it.
    [[nodiscard]] bool heard_from_redis(const store::notification& push) const;

  private:
    using entries = std::unordered_map<push_key, bool, hash_of_push_key>;
    struct met {
        const entries::value_type* which; // stays where it is while others come and go
        clock::time_point since;
    };

    mutable std::mutex mutex_; // guards all below
    entries heard_from_redis_;
    std::deque<met> in_order_; // oldest first

    void forget(clock::time_point now);
};

} // namespace mana::hub
