#include "fcgi_worker/request_rate.hpp"

#include <algorithm>
#include <functional>
#include <string>

namespace mana::fcgi_worker {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t rows = 2;
constexpr std::size_t row_cells = 65'536;
constexpr std::int64_t farthest_ahead = nanoseconds{request_rate::ahead_at_most}.count();
constexpr std::int64_t devices_at_full_rate = 2; // of one user

std::int64_t cost_of(unsigned a_second) {
    return a_second == 0 ? 0 : nanoseconds{std::chrono::seconds{1}}.count() / a_second;
}

// No token has a line break.
std::string device_of(const sender& who) {
    return std::string{who.token}.append(1, '\n').append(who.client_id);
}

} // namespace

request_rate::meter::meter(std::int64_t cost) : cost_{cost}, cells_{rows * row_cells} {}

request_rate::cell& request_rate::meter::cell_of(std::string_view name, std::size_t row) const {
    static_assert(sizeof(std::size_t) == 8, "each row has other bits of the hash");
    const auto hash = std::hash<std::string_view>{}(name) >> (row * 32);
    return cells_.items()[row * row_cells + hash % row_cells];
}

std::int64_t request_rate::meter::over(std::string_view name, std::int64_t at) const {
    const auto ahead = [&](std::size_t row) {
        return cell_of(name, row).load(std::memory_order_relaxed) - at;
    };
    return std::min(ahead(0), ahead(1)) + cost_ - farthest_ahead;
}

void request_rate::meter::pay(std::string_view name, std::int64_t at) {
    for (std::size_t row = 0; row < rows; ++row) {
        cell& each = cell_of(name, row);
        std::int64_t paid = each.load(std::memory_order_relaxed);
        while (!each.compare_exchange_weak(paid, std::max(paid, at) + cost_, std::memory_order_relaxed)) {
        }
    }
}

request_rate::request_rate(unsigned a_second)
    : limited_{a_second != 0}, users_{cost_of(a_second)}, devices_{cost_of(a_second) * devices_at_full_rate} {
}

std::optional<std::chrono::milliseconds> request_rate::refuse(const sender& who, clock::time_point now) {
    if (!limited_) return std::nullopt;
    const std::int64_t at = nanoseconds{now.time_since_epoch()}.count();
    const std::string device = device_of(who);
    const std::int64_t over = std::max(devices_.over(device, at), users_.over(who.user, at));
    if (over > 0) return std::chrono::ceil<std::chrono::milliseconds>(nanoseconds{over});
    devices_.pay(device, at);
    users_.pay(who.user, at);
    return std::nullopt;
}

} // namespace mana::fcgi_worker
