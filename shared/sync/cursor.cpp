#include "shared/sync/cursor.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace mana::sync {

namespace {

constexpr std::string_view from_epoch_digits = "10";
constexpr std::chrono::seconds foreign_clock_slack{10};
// An offset can carry a time beyond it, which would be written with five digits of year and never read again.
constexpr position last_position =
    std::chrono::sys_days{std::chrono::year{10'000} / 1 / 1} - std::chrono::microseconds{1};

} // namespace

cursor parse_since(std::string_view text) {
    const auto parts = split_rfc3339(text);
    if (!parts) return {.from_epoch = true};
    const auto digits = parts->fraction;
    const bool says_epoch = digits.size() == 8 && digits.ends_with(from_epoch_digits);
    const bool ours = parts->utc && (digits.size() == 6 || says_epoch);
    cursor read{.at = parts->second + std::chrono::microseconds{leading_digits(digits, 6)}};
    if (!ours) read.at -= foreign_clock_slack;
    read.at = std::clamp(read.at, position{}, last_position);
    read.from_epoch = read.at == position{} || (ours && says_epoch);
    return read;
}

bool is_readable_since(std::string_view text) {
    return split_rfc3339(text).has_value();
}

std::string to_text(const cursor& held) {
    const auto second = std::chrono::floor<std::chrono::seconds>(held.at);
    const auto micros = (held.at - second).count();
    std::string text = to_text(instant{second});
    text.resize(text.size() - std::string_view("000Z").size());
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), "%06d", static_cast<int>(micros));
    text += digits.data();
    if (held.from_epoch) text += from_epoch_digits;
    return text + 'Z';
}

} // namespace mana::sync
