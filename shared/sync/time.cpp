#include "shared/sync/time.hpp"

#include <algorithm>
#include <array>

namespace mana::sync {

namespace {

using std::chrono::sys_days;
using std::chrono::year_month_day;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Reads fixed-width parts from the front of a text; once something did not fit, `failed` stays set.
struct scanner {
    std::string_view rest;
    bool failed = false;

    int number(std::size_t width) {
        if (rest.size() < width ||
            !std::all_of(rest.begin(), rest.begin() + static_cast<long>(width), is_digit)) {
            failed = true;
            return 0;
        }
        int value = 0;
        for (const char c : rest.substr(0, width)) value = value * 10 + (c - '0');
        rest.remove_prefix(width);
        return value;
    }
    bool take(std::string_view any_of) {
        if (rest.empty() || any_of.find(rest.front()) == std::string_view::npos) return false;
        rest.remove_prefix(1);
        return true;
    }
    void expect(std::string_view any_of) { failed = !take(any_of) || failed; }
};

std::string_view take_fraction(scanner& in) {
    if (!in.take(".")) return {};
    const auto end = std::ranges::find_if_not(in.rest, is_digit);
    const auto digits = in.rest.substr(0, static_cast<std::size_t>(end - in.rest.begin()));
    if (digits.empty()) in.failed = true;
    in.rest.remove_prefix(digits.size());
    return digits;
}

std::chrono::minutes take_offset(scanner& in) {
    if (in.rest.empty() || in.take("Zz")) return {};
    const bool west = in.rest.front() == '-';
    in.expect("+-");
    const int hours = in.number(2);
    in.expect(":");
    const int minutes = in.number(2);
    if (hours > 23 || minutes > 59) in.failed = true;
    const std::chrono::minutes offset{hours * 60 + minutes};
    return west ? -offset : offset;
}

} // namespace

std::optional<rfc3339_parts> split_rfc3339(std::string_view text) {
    scanner in{text};
    const int year = in.number(4);
    in.expect("-");
    const int month = in.number(2);
    in.expect("-");
    const int day = in.number(2);
    in.expect("Tt");
    const int hour = in.number(2);
    in.expect(":");
    const int minute = in.number(2);
    in.expect(":");
    const int second = in.number(2);
    rfc3339_parts parts;
    parts.fraction = take_fraction(in);
    parts.utc = in.rest == "Z" || in.rest == "z";
    const auto offset = take_offset(in);
    const year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                              std::chrono::day{static_cast<unsigned>(day)}};
    if (in.failed || !in.rest.empty() || !date.ok() || hour > 23 || minute > 59 || second > 59)
        return std::nullopt;
    parts.second = sys_days{date} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
                   std::chrono::seconds{second} - offset;
    return parts;
}

int leading_digits(std::string_view fraction, int digits) {
    int value = 0;
    for (int i = 0; i < digits; ++i) {
        const auto at = static_cast<std::size_t>(i);
        value = value * 10 + (at < fraction.size() ? fraction[at] - '0' : 0);
    }
    return value;
}

std::optional<instant> parse_instant(std::string_view text) {
    constexpr instant first = sys_days{std::chrono::year{0} / 1 / 1};
    constexpr instant end = sys_days{std::chrono::year{10'000} / 1 / 1};
    const auto parts = split_rfc3339(text);
    if (!parts) return std::nullopt;
    const instant time = parts->second + std::chrono::milliseconds{leading_digits(parts->fraction, 3)};
    if (time < first || time >= end) return std::nullopt;
    return time;
}

std::optional<instant> parse_claim(std::string_view text) {
    constexpr instant end = sys_days{std::chrono::year{9999} / 1 / 1};
    const auto time = parse_instant(text);
    return time && *time < end ? time : std::nullopt;
}

void append_text(std::string& out, instant time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    const auto put = [&out](auto number, int digits, char after) {
        std::array<char, 5> text{};
        text.at(static_cast<std::size_t>(digits)) = after;
        auto rest = static_cast<unsigned>(number);
        for (int i = digits - 1; i >= 0; --i, rest /= 10)
            text.at(static_cast<std::size_t>(i)) = static_cast<char>('0' + rest % 10);
        out.append(text.data(), static_cast<std::size_t>(digits) + 1);
    };
    put(static_cast<int>(date.year()), 4, '-');
    put(static_cast<unsigned>(date.month()), 2, '-');
    put(static_cast<unsigned>(date.day()), 2, 'T');
    put(clock.hours().count(), 2, ':');
    put(clock.minutes().count(), 2, ':');
    put(clock.seconds().count(), 2, '.');
    put(clock.subseconds().count(), 3, 'Z');
}

std::string to_text(instant time) {
    std::string text;
    text.reserve(std::string_view("2026-01-31T09:00:00.123Z").size());
    append_text(text, time);
    return text;
}

} // namespace mana::sync
