#include "shared/sync/cursor.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>

namespace mana::sync {

namespace {

constexpr std::string_view from_epoch_digits = "10";
constexpr char held_back_digit = '3';
constexpr char of_one_table_digit = '4';
constexpr int digits_of_distance = 12;
constexpr int digits_of_second = 5;
constexpr int not_due = 99'999;
constexpr int seconds_of_day = 86'400;
constexpr std::chrono::seconds foreign_clock_slack{10};
// An offset can carry a time beyond it, which would be written with five digits of year and never read again.
constexpr position last_position =
    std::chrono::sys_days{std::chrono::year{10'000} / 1 / 1} - std::chrono::microseconds{1};

std::string& append_digits(std::string& text, int width, std::int64_t number) {
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), "%0*lld", width, static_cast<long long>(number));
    return text += digits.data();
}

void append_remark(std::string& text, const cursor& held) {
    const auto distance = *held.shown_until - held.at;
    append_digits(text += held.one_table ? of_one_table_digit : held_back_digit, digits_of_distance,
                  distance.count());
    append_digits(text, digits_of_second, held.due_since ? held.due_since->count() : not_due) += '0';
}

/// What the digits after the sixth say of a cursor whose position is read; false where they are not ours.
bool read_remark(cursor& read, std::string_view digits) {
    if (digits.empty()) return true;
    if (digits == from_epoch_digits) return read.from_epoch = true;
    constexpr std::size_t in_all = 1 + digits_of_distance + digits_of_second + 1;
    read.one_table = digits.front() == of_one_table_digit;
    if (digits.size() != in_all || digits.back() != '0') return false;
    if (digits.front() != held_back_digit && !read.one_table) return false;
    std::int64_t distance = 0;
    std::from_chars(digits.data() + 1, digits.data() + 1 + digits_of_distance, distance);
    const int second = leading_digits(digits.substr(1 + digits_of_distance), digits_of_second);
    read.shown_until = read.at + std::chrono::microseconds{distance};
    if (second < seconds_of_day) read.due_since = std::chrono::seconds{second};
    return true;
}

} // namespace

cursor parse_since(std::string_view text) {
    const auto parts = split_rfc3339(text);
    if (!parts) return {.from_epoch = true};
    const auto digits = parts->fraction;
    cursor read{.at = parts->second + std::chrono::microseconds{leading_digits(digits, 6)}};
    const bool ours = parts->utc && digits.size() >= 6 && read_remark(read, digits.substr(6));
    if (!ours) read = {.at = read.at - foreign_clock_slack};
    read.at = std::clamp(read.at, position{}, last_position);
    if (read.at == position{}) return {.from_epoch = true};
    return read;
}

std::optional<instant> clock_in_since(std::string_view text) {
    const auto parts = split_rfc3339(text);
    if (!parts || !parts->utc || parts->fraction.size() != 3) return std::nullopt;
    return parse_instant(text);
}

bool is_readable_since(std::string_view text) {
    return split_rfc3339(text).has_value();
}

std::string to_text(const cursor& held) {
    const auto second = std::chrono::floor<std::chrono::seconds>(held.at);
    const auto micros = (held.at - second).count();
    std::string text = to_text(instant{second});
    text.resize(text.size() - std::string_view("000Z").size());
    append_digits(text, 6, micros);
    if (held.from_epoch)
        text += from_epoch_digits;
    else if (held.shown_until)
        append_remark(text, held);
    return text + 'Z';
}

} // namespace mana::sync
