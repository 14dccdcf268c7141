// Rows that replace what their reader inserted (SPEC §3 rule 5). Pure.
//
// A client that inserts a record stamps it with its own clock and tells nobody the time. If its clock is
// ahead, it does not take what another one writes a moment later:
//
//     A, 5 s ahead   adds n                       received 09:00:00, held by A with 09:00:04
//     B              n.title = "x" at 09:00:02    all others take it; A holds a later time
//
// To be sure, A must be shown a later time; if it is too late, it takes A's own next edit with it. So the
// row says for whom it is held, and that client alone is shown it otherwise (shown_to_inserter): at first
// with the time that A's claims around the insert tell, which an edit of A's cannot be before. Until the
// clock has passed all that an unknown one may be ahead, its cursor stays before the row. Then it is shown
// the row as before once more, so that it can push what it wrote meanwhile, and the next time with a time
// beyond all.
#pragma once

#include "shared/sync/cursor.hpp"
#include "shared/sync/record.hpp"
#include "shared/sync/wire.hpp"

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::sync {

/// How long after `until` a row is due: by then no clock that is slow writes an earlier time.
constexpr std::chrono::seconds settling{2};
/// How long after it was shown when it was due a row is settled: meanwhile its client pushed what it had not
/// pushed then, though its user types on without a pause, or a try fails.
constexpr std::chrono::seconds time_to_push{15};

/// The held rows of one page, and where its cursor stays for them. Not thread-safe.
class held_rows {
  public:
    /// `cut`: the page does not have all that its reader is to be shown. Then all are settled at once, since
    /// its cursor must go on. `one_table`: it is read of one table alone.
    held_rows(const cursor& since, bool one_table, bool cut)
        : since_(since), one_table_(one_table), at_once_(cut) {}

    /// For each row that is held for the reader; `now` by the database's clock. True: it is shown with a time
    /// beyond all.
    bool settles(position row, const insert_hold& hold, instant now);

    /// For each row, in their order: whether it was shown when the cursor stayed before an earlier one, so
    /// that it need not be shown again. The rows that follow a held one of the same record go with it. A
    /// cursor that a pull of one table gave says nothing of the others.
    bool was_shown(position row, bool held, std::string_view table, std::string_view record_id);

    /// The cursor of a page that ends at `end`.
    [[nodiscard]] cursor end_of_page(position end) const;

  private:
    const cursor since_;
    const bool one_table_;
    const bool at_once_;
    static constexpr std::chrono::hours longest_{240}; ///< that a cursor stays behind
    std::optional<position> first_;
    std::set<std::pair<std::string, std::string>> again_; ///< records with a held row
    std::optional<std::chrono::seconds> due_since_;       ///< of those that wait; none: of none
};

/// The time with which a client is shown what is held, when it is told in the answer to its own push: what it
/// writes after that is later than `now`.
instant shown_to(const held_field& held, std::string_view user, std::string_view client, instant now);

/// The fields that a client wrote last of all; none of a record that some client was made to drop.
name_set fields_of(const record_state& record, std::string_view user, std::string_view client);

/// The fields of a row for the client for which it is held: of those that it inserted, and that are still
/// another's, with a later time. `record`: the record as it is now.
void show_to_inserter(std::vector<shown_field>& fields, const insert_hold& held, const record_state& record,
                      bool settled);

} // namespace mana::sync
