// Pages of the log (SPEC §2 Pull, §4): what a reader's scopes hold after a cursor, in the order of positions,
// and how far it may read.
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"
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

/// Reads one page in a transaction of its own; locks the scopes only for the moment of reading how far they
/// go. Throws postgres_error, never in_doubt: what only read can be read again.
sync::answer read_page(connection& on, const reader& who, const page_request& wanted, deadline until);

/// Up to where the author of a push reads: not beyond its own rows, whose states its repairs were made from.
struct page_bound {
    std::string last_row;         ///< event id of the push's last row; empty: it wrote none
    sync::position newest_before; ///< every row of the push is later; its own ones are left out
};

/// The spaces of a page. Nothing where the request says that there are none, or that they are not known.
std::optional<shown_spaces> spaces_of_page(connection& on, const reader& who, const page_request& wanted,
                                           deadline until);

/// A page that is read in the same round trip as a push. What it is made of outlives it.
class page_reading {
  public:
    page_reading(connection& on, const reader& who, const page_request& wanted,
                 const std::optional<shown_spaces>& shown, const std::optional<page_bound>& bound);
    /// Puts all of its transaction into the pipeline.
    void send();
    /// Waits for it. Throws spaces_changed where the reader's spaces are not `shown` any more.
    sync::answer finish(deadline until);

  private:
    const reader& who_;
    const page_request& wanted_;
    const std::optional<shown_spaces>& shown_;
    const std::optional<page_bound>& bound_;
    transaction in_;

    void send_page(const std::vector<std::string>& scopes, const parameter& own_until);
};

/// Reads the page of a push's author again, in a transaction of its own.
sync::answer read_page(connection& on, const reader& who, const page_request& wanted,
                       const std::optional<page_bound>& bound, deadline until);

} // namespace mana::store
