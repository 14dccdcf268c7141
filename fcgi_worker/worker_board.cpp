#include "fcgi_worker/worker_board.hpp"

#include <cerrno>
#include <sys/mman.h>
#include <system_error>
#include <type_traits>

namespace mana::fcgi_worker {
namespace {

worker_seat* map_seats(std::size_t count) {
    void* const mapped = ::mmap(nullptr, count * sizeof(worker_seat), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) // NOLINT: the macro is a C cast
        throw std::system_error{errno, std::generic_category(), "mmap"};
    auto* const seats = static_cast<worker_seat*>(mapped);
    std::uninitialized_default_construct_n(seats, count);
    return seats;
}

} // namespace

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

worker_board::worker_board(std::size_t seats) : seats_{map_seats(seats), unmap{seats}} {}

void worker_board::unmap::operator()(worker_seat* seats) const noexcept {
    static_assert(std::is_trivially_destructible_v<worker_seat>);
    ::munmap(seats, count * sizeof(worker_seat));
}

} // namespace mana::fcgi_worker
