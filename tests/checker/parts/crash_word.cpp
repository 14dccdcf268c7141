#include "tests/checker/parts/crash_word.hpp"

namespace mana::checker {

namespace {

constexpr std::int64_t nothing = 0;

bool is_time(std::int64_t value) {
    return value > static_cast<std::int64_t>(crash_point::hub_after_publish);
}

} // namespace

crash_word::crash_word(const std::string& file) : shared_{file, shared_word::access::write} {}

void crash_word::arm(crash_point point) {
    *shared_ = static_cast<std::int64_t>(point);
}

bool crash_word::is_taken() const {
    return is_time(*shared_);
}

std::optional<crash_word::time> crash_word::disarm() {
    const auto was = shared_->exchange(nothing);
    if (!is_time(was)) return std::nullopt;
    return time{std::chrono::nanoseconds{was}};
}

bool crash_word::take(crash_point point) {
    auto armed = static_cast<std::int64_t>(point);
    const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
    return shared_->compare_exchange_strong(armed, now.count());
}

} // namespace mana::checker
