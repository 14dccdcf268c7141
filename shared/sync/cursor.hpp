// The cursor that a client is handed as `syncedUntil` and sends back as `since` (SPEC §4).
// Pure: which positions exist, and the newest of them, is the store's to know.
#pragma once

#include "shared/sync/time.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace mana::sync {

struct cursor {
    position at{};
    /// The client began at the epoch, so its own changes are not left out (SPEC §3 rule 8). Said in the text
    /// by two more digits, "10": a Go server's cursor, its zeros cut, never ends in one.
    bool from_epoch = false;
    /// The cursor stays before rows that its client is to be shown again (held_rows.hpp), though it was shown
    /// all up to here. Said by "3", or "4" where `one_table`, how many microseconds lie between in twelve
    /// digits, since when the first of those rows is due (a second of the day by the server's clock, in five
    /// digits; 99999: they are not), and "0".
    std::optional<position> shown_until{};
    std::optional<std::chrono::seconds> due_since{};
    bool one_table = false; ///< of the table that was pulled, and not of all

    bool operator==(const cursor&) const = default;
};

/// Reads `since`. Ours has six digits, or more where they say something (see cursor). Any other readable form
/// was another host's clock, and is read 10 s earlier; an unreadable or empty one is the epoch.
cursor parse_since(std::string_view text);

/// The client's own clock where that is what it sent, as one that is behind its cursors does: it has three
/// digits. It may be a Go server's cursor too, its zeros cut, once in a million.
std::optional<instant> clock_in_since(std::string_view text);

/// Whether parse_since() would read it; any RFC 3339 text is readable.
bool is_readable_since(std::string_view text);

/// "2026-01-31T09:00:00.123456Z"; texts sort as positions.
std::string to_text(const cursor& held);

} // namespace mana::sync
