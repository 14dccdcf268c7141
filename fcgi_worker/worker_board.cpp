#include "fcgi_worker/worker_board.hpp"

namespace mana::fcgi_worker {

void worker_seat::prepare(clock::time_point now) noexcept {
    serves_.store(false, std::memory_order_relaxed);
    busy(now);
}

void worker_seat::busy(clock::time_point now) noexcept {
    busy_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

void worker_seat::idle() noexcept {
    busy_since_.store(0, std::memory_order_relaxed);
    if (!serves()) serves_.store(true, std::memory_order_relaxed);
}

std::optional<worker_seat::clock::time_point> worker_seat::busy_since() const noexcept {
    const auto ticks = busy_since_.load(std::memory_order_relaxed);
    if (ticks == 0) return std::nullopt;
    return clock::time_point{clock::duration{ticks}};
}

} // namespace mana::fcgi_worker
