// Last write wins, field by field: one push against the record states that it meets (SPEC §3).
// Pure: whoever calls has read the states under the scopes' locks, and stores what comes out.
#pragma once

#include "shared/sync/change.hpp"
#include "shared/sync/record.hpp"
#include "shared/sync/wire.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace mana::sync {

/// Who pushes.
struct writer {
    std::string user;
    std::string client;
    /// The spaces that the user is a member of; nothing where sharing is off: then a change's space is kept
    /// and shown, and every record lives with its author.
    std::optional<std::vector<std::string>> spaces;
};

struct merge_terms {
    instant receipt;                            ///< when the push was received, by the database's clock
    std::chrono::milliseconds max_clock_skew{}; ///< how far ahead of it a claim counts
    /// A record that has reached this size takes no change that makes it larger: who touches a record reads
    /// all of its state.
    std::size_t record_bytes = 10'000'000;
    std::optional<instant> author_clock{}; ///< what it showed when the push was sent; mostly unknown
    cursor since{};                        ///< the author's
};

/// One row for the log, in the order of its position.
struct log_row { // NOLINT(bugprone-exception-escape): see held_field
    std::string scope;
    change_heading heading;
    operation op = operation::update;
    std::string data = "{}";       ///< JSON: the fields that won, what they carry along, `id` of an insert
    std::string field_meta = "{}"; ///< JSON: {field: shown time}
    bool told = false; ///< a field is shown with another time than it claimed: its author is sent the row too
    insert_holds held; ///< its fields replaced what these clients inserted, see held_rows.hpp
};

/// A write that did not win, kept for LOST_WRITES_DAYS.
struct lost_write {
    std::string scope;
    std::string table;
    std::string record_id;
    std::string field;   ///< empty: the whole change, or the fields of it that did not win
    std::string value;   ///< JSON text; of a whole change, that of the change
    std::string claimed; ///< the time as text; empty: none
    std::string reason;  ///< "older", "tombstone", or a rejection's code
};

constexpr std::size_t conflict_bytes = 8'000'000; ///< names and values, as JSON: as a page's

constexpr std::size_t lost_bytes = 16'000'000; ///< names, values and times

struct merge_outcome {
    std::vector<log_row> rows;
    std::vector<conflict> conflicts; ///< of the fields that lost, at most conflict_bytes
    std::size_t fields_lost = 0;
    /// Each of them, up to lost_bytes; then those of a change together, since each row has the record's
    /// names.
    std::vector<lost_write> lost;
    std::vector<wire_change> repairs; ///< what the author is told on top of its page (rule 6)
    std::vector<rejection> rejected;
    std::size_t capped = 0; ///< claims further ahead than max_clock_skew
};

/// The home of a change among the scopes that its author writes: where the record already lives (own scope
/// first), else the scope it names; if its author is no member there, its own scope (SPEC §6). A record that
/// is kept there for that reason gives way as soon as its author is a member.
std::string home_of(const change& given, const writer& author, const record_map& records);

/// Whether it is the clock of an author, and not so far behind that it is some other time.
bool is_slow_clock(std::optional<instant> author_clock, instant receipt);

/// The heading of what an author is told of a record: what is held was written by others too, so the pusher's
/// actor and origin do not go with it.
change_heading bare(const change_heading& heading);

/// Merges the changes in their order. `records` holds the states of all records named, in every scope that
/// the author writes; the ones that must be stored come back `touched`.
merge_outcome merge_push(const std::vector<change>& changes, const writer& author, const merge_terms& terms,
                         record_map& records);

} // namespace mana::sync
