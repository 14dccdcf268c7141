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
    /// False: the reader may have spaces that are not among the scopes read, so the cursor stays where it is.
    bool spaces_known = true;
    int rows = 1'000;
    int bytes = 8'000'000; ///< cut there; one row is always given
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

// For a push, whose page goes in the same round trip: sends the page's two statements …
void send_page(transaction& in, const reader& who, const page_request& wanted,
               const std::optional<page_bound>& bound);
// … and makes the answer from their results.
sync::answer to_answer(const page_request& wanted, const rows& horizon, const rows& page);

/// Reads the page of a push's author again, in a transaction of its own.
sync::answer read_page(connection& on, const reader& who, const page_request& wanted,
                       const std::optional<page_bound>& bound, deadline until);

} // namespace mana::store
