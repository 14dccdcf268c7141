// Which pushes this hub has met, whoever told it first: Redis, which is fast, or the log, which misses
// nothing. Pure. Thread-safe: the io thread and the sweep of the log use it.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/sync/time.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <mutex>
#include <unordered_map>

namespace mana::hub {

/// Who told of a push.
enum class news_source { redis, log };

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
    struct entry {
        sync::position newest;
        clock::time_point since;
    };

    mutable std::mutex mutex_;                                       // guards all below
    std::unordered_map<sync::position::rep, bool> heard_from_redis_; // by position, which only one push has
    std::deque<entry> in_order_;                                     // oldest first

    void forget(clock::time_point now);
};

} // namespace mana::hub
