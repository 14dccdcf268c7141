#include "fcgi_worker/request_rate.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <new>
#include <string>
#include <sys/mman.h>
#include <system_error>

namespace mana::fcgi_worker {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t rows = 2;
constexpr std::int64_t farthest_ahead = nanoseconds{request_rate::ahead_at_most}.count();

// A page of zeros is a page of cells of which nothing is paid for.
void* shared_zeros(std::size_t bytes) {
    void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::system_error{errno, std::generic_category(), "mmap"};
    return memory;
}

} // namespace

request_rate::request_rate(unsigned a_second)
    : cost_{a_second == 0 ? 0 : nanoseconds{std::chrono::seconds{1}}.count() / a_second},
      cells_{static_cast<cell*>(shared_zeros(rows * row_cells * sizeof(cell))), rows * row_cells} {}

request_rate::~request_rate() {
    ::munmap(cells_.data(), cells_.size_bytes());
}

request_rate::cell& request_rate::cell_of(std::string_view user, std::size_t row) {
    const std::array<char, 1> salt{static_cast<char>('a' + row)};
    const auto hash = std::hash<std::string>{}(std::string{salt.data(), salt.size()}.append(user));
    return cells_[row * row_cells + hash % row_cells];
}

std::optional<std::chrono::milliseconds> request_rate::refuse(std::string_view user, clock::time_point now) {
    if (cost_ == 0) return std::nullopt;
    const std::int64_t at = nanoseconds{now.time_since_epoch()}.count();
    const std::array<cell*, rows> both{&cell_of(user, 0), &cell_of(user, 1)};
    const auto ahead = [&](const cell* each) { return each->load(std::memory_order_relaxed) - at; };
    const std::int64_t over = std::min(ahead(both[0]), ahead(both[1])) + cost_ - farthest_ahead;
    if (over > 0) return std::chrono::ceil<std::chrono::milliseconds>(nanoseconds{over});
    for (cell* each : both) {
        std::int64_t paid = each->load(std::memory_order_relaxed);
        while (!each->compare_exchange_weak(paid, std::max(paid, at) + cost_, std::memory_order_relaxed)) {
        }
    }
    return std::nullopt;
}

} // namespace mana::fcgi_worker
