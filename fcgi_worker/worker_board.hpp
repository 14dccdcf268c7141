// What each worker is at, in memory that it shares with its master: so the master sees one that is stuck.
//
// A worker writes its own seat only, and its master alone gives seats out. Nothing here can fail or wait:
// single values, lock-free, by the steady clock, which is one for all processes.
#pragma once

#include "fcgi_worker/shared_array.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

namespace mana::fcgi_worker {

class worker_seat {
  public:
    using clock = std::chrono::steady_clock;

    // The master, before it forks: whoever comes next is busy with its start, and serves not yet.
    void prepare(clock::time_point now) noexcept;

    // The worker. It is busy from busy() to idle(); each busy() begins anew, for one that gets on.
    void busy(clock::time_point now) noexcept;
    // Waits for a request, and so serves.
    void idle() noexcept;

    // The master.
    [[nodiscard]] std::optional<clock::time_point> busy_since() const noexcept;
    [[nodiscard]] bool serves() const noexcept { return serves_.load(std::memory_order_relaxed); }

  private:
    static_assert(std::atomic<std::int64_t>::is_always_lock_free);
    std::atomic<std::int64_t> busy_since_{0}; // by the steady clock; 0: idle
    std::atomic<bool> serves_{false};         // has been idle since prepare()
};

using worker_board = shared_array<worker_seat>;

} // namespace mana::fcgi_worker
