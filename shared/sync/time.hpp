// Times that changes claim and are shown with (SPEC §3 rule 2), and positions of the log (SPEC §4).
// Pure: no clock is read here.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace mana::sync {

/// A time of a field: milliseconds since the Unix epoch, UTC.
using instant = std::chrono::sys_time<std::chrono::milliseconds>;

/// A position of the log (`created_at`): microseconds since the Unix epoch, UTC.
using position = std::chrono::sys_time<std::chrono::microseconds>;

inline constexpr instant epoch{};

/// Reads RFC 3339 (no zone is UTC, an offset is resolved, digits after the third are cut); nothing for a
/// malformed text.
std::optional<instant> parse_instant(std::string_view text);

/// Reads a time that a change claims: the same, but nothing from the year 9999 on. What is shown later than a
/// claim must still have four digits of year, or it would sort before it.
std::optional<instant> parse_claim(std::string_view text);

/// JavaScript's toISOString(): "2026-01-31T09:00:00.123Z". Strings of this form sort as times. The year is
/// one of 0 to 9999.
std::string to_text(instant time);
void append_text(std::string& out, instant time);

/// The parts of an RFC 3339 text. `second` has the offset resolved.
struct rfc3339_parts {
    std::chrono::sys_seconds second;
    std::string_view fraction; ///< the digits after the point, which may be none
    bool utc = true;           ///< whether the zone was `Z`
};
std::optional<rfc3339_parts> split_rfc3339(std::string_view text);

/// The first `digits` digits of a fraction as a whole number: ("5", 3) is 500.
int leading_digits(std::string_view fraction, int digits);

} // namespace mana::sync
