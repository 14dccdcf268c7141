#include "fcgi_worker/request_rate.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <string>

namespace mana::fcgi_worker {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t rows = 2;
constexpr std::int64_t farthest_ahead = nanoseconds{request_rate::ahead_at_most}.count();

} // namespace

request_rate::request_rate(unsigned a_second)
    : cost_{a_second == 0 ? 0 : nanoseconds{std::chrono::seconds{1}}.count() / a_second}, cells_{rows *
                                                                                                 row_cells} {}

request_rate::cell& request_rate::cell_of(std::string_view user, std::size_t row) {
    const std::array<char, 1> salt{static_cast<char>('a' + row)};
    const auto hash = std::hash<std::string>{}(std::string{salt.data(), salt.size()}.append(user));
    return cells_.items()[row * row_cells + hash % row_cells];
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
