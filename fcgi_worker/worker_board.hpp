// What each worker is at, in memory that it shares with its master: so the master sees one that is stuck.
//
// A worker writes its own seat only, and its master alone gives seats out. Nothing here can fail or wait:
// single values, lock-free, by the steady clock, which is one for all processes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

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

class worker_board {
  public:
    // Throws std::system_error.
    explicit worker_board(std::size_t seats);

    // Stays where it is, in the master and in its children, for as long as the board does.
    [[nodiscard]] std::span<worker_seat> seats() const noexcept {
        return {seats_.get(), seats_.get_deleter().count};
    }

  private:
    struct unmap {
        std::size_t count;
        void operator()(worker_seat* seats) const noexcept;
    };
    std::unique_ptr<worker_seat, unmap> seats_;
};

} // namespace mana::fcgi_worker
