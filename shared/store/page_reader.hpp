// Pages of the log (SPEC §2 Pull, §4): what a reader's scopes hold after a cursor, in the order of positions,
// and how far it may read.
//
// Most readers have read all there is: so a page begins with a look ahead, which says how far the scopes go
// and whether anything lies beyond the cursor. Only then are rows read.
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"
#include "shared/store/spaces_memory.hpp"
#include "shared/sync/said_once.hpp"
#include "shared/sync/wire.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

struct page_request {
    std::string app;
    std::vector<std::string> tables; ///< the protocol's collections; none: all of the app's
    sync::cursor since;
    bool include_own = false; ///< do not leave the reader's own changes out
    /// Which spaces the reader is shown is looked up, and brought up to date: see follow_spaces(). Else none.
    bool spaces_shared = false;
    /// False: the reader may have spaces, and is shown none, so the cursor stays where it is.
    bool spaces_known = true;
    /// Where what is shown of spaces is remembered; not owned, and null: it is looked up each time.
    spaces_memory* remembered = nullptr;
    /// Of the answer to a push: what it says beside its page; not owned, and null: of a pull.
    sync::said_once* said = nullptr;
    bool by_slow_clock = false; ///< the reader sent its own clock, which is behind its cursors
    int rows = 1'000;
    int bytes = 8'000'000; ///< cut there; one row is always given
};

/// The reader's spaces changed while a page was read: nothing of it counts, and it is to be read again.
class spaces_changed : public postgres_error {
  public:
    spaces_changed() : postgres_error(remedy::retry_now, "the spaces that are shown changed") {}
};

/// Statements that pages use, for the connection to prepare.
std::span<const statement> page_statements();

/// Reads one page; locks the scopes only for the moment of the look ahead. Throws postgres_error, never
/// in_doubt: what only read can be read again.
sync::answer read_page(connection& on, const reader& who, const page_request& wanted, deadline until);

/// The rows of a push, for the page of its author: they come from one call of take_positions, so that no
/// other row lies between them.
struct pushed_rows {
    sync::position newest_before;        ///< of all positions when the push had its locks
    std::optional<sync::position> first; ///< none: it wrote no row
    std::optional<sync::position> last;
    bool shown = false; ///< to their author too, who named no client
};

/// The same for the author of a push: not beyond its own rows, whose states its repairs were made from.
sync::answer read_page(connection& on, const reader& who, const page_request& wanted,
                       const pushed_rows& pushed, deadline until);

/// What read_page does once it is known which spaces the reader is shown (none: not shared). Throws
/// spaces_changed where that is no longer so.
sync::answer read_page_of(connection& on, const reader& who, const page_request& wanted,
                          const std::optional<shown_spaces>& shown, const std::optional<pushed_rows>& pushed,
                          deadline until);

/// Which spaces the reader's page shows; nothing where spaces are not shared or not known. It may copy
/// records of spaces that are new (see follow_spaces), so it is given its own time.
std::optional<shown_spaces> spaces_of_page(connection& on, const reader& who, const page_request& wanted,
                                           deadline until);

/// The page of a push's author who reads no scope but the own one, sent right behind the push's COMMIT: all
/// up to the push's last row is there then, so nothing has to be looked up before.
class author_page {
  public:
    author_page(connection& on, const reader& author, const page_request& wanted,
                sync::position newest_before);
    /// `last_row`: the event id of the push's last row.
    void send(const std::string& last_row);
    /// After the push's own results. `last`: the position of its last row. Throws as read_page.
    sync::answer finish(sync::position last, deadline until);

  private:
    const reader& author_;
    const page_request& wanted_;
    const sync::position newest_before_;
    transaction in_;
};

} // namespace mana::store
