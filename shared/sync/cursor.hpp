// The cursor that a client is handed as `syncedUntil` and sends back as `since` (SPEC §4).
// Pure: which positions exist, and the newest of them, is the store's to know.
#pragma once

#include "shared/sync/time.hpp"

#include <string>
#include <string_view>

namespace mana::sync {

struct cursor {
    position at{};
    /// The client began at the epoch, so its own changes are not left out (SPEC §3 rule 8). Said in the text
    /// by two more digits, "10": a Go server's cursor, its zeros cut, never ends in one.
    bool from_epoch = false;

    bool operator==(const cursor&) const = default;
};

/// Reads `since`. Ours has six digits, or eight ending in "10". Any other readable form was another host's
/// clock, and is read 10 s earlier; an unreadable or empty one is the epoch.
cursor parse_since(std::string_view text);

/// Whether parse_since() would read it; any RFC 3339 text is readable.
bool is_readable_since(std::string_view text);

/// "2026-01-31T09:00:00.123456Z"; texts sort as positions.
std::string to_text(const cursor& held);

} // namespace mana::sync
