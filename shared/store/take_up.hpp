// Takes up the rows that other programs insert into sync_changes with plain SQL (SPEC §5,
// sql/0006_take_up.sql): each is merged by the rules of a push, and shown to readers from then on, under a
// position of its own.
//
// A row is never looked at twice: it is shown with the fields that won, or set aside with the reason in
// `set_aside` ("nothing_won", or what makes it unusable). Rows of which fields lost are kept as lost writes.
//
// Rows from before the migrations, which the Go server wrote, keep their positions: clients' cursors lie
// beyond them. (Not those of users who share spaces: they are shown anew.) They go first, and no push is
// merged before its author's have been.
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/push_transaction.hpp"
#include "shared/store/scopes.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

struct taken_up {
    std::size_t rows = 0;    ///< that readers are shown now
    std::size_t skipped = 0; ///< that can't be used
    std::size_t lost = 0;    ///< fields that lost
    std::size_t capped = 0;  ///< claims further ahead than max_clock_skew
    bool more = false;       ///< there may be more that wait: call again soon
};

/// Where the next call goes on: after this user and app. Empty: from the start.
struct waiting_place {
    std::string user;
    std::string app;
};

/// The spaces that a user is a member of; nothing where that is not known now: then the user's rows wait on.
/// Not called where spaces are not shared.
using spaces_of = std::function<std::optional<std::vector<std::string>>(const std::string& user)>;

/// Statements that are used here, for the connection to prepare. push_statements() has them all.
std::span<const statement> take_up_statements();

/// Takes up some rows of some users, each user's in a transaction of its own, for which `patience` is. No
/// user's is begun after `enough`, but for the first. What is locked now is passed over, and met again after
/// the others. Throws postgres_error; what was committed before stays, and nothing is taken up twice. Call it
/// again then too: `place` is beyond what failed.
taken_up take_up_rows(connection& on, waiting_place& place, const push_terms& terms, const spaces_of& spaces,
                      std::chrono::milliseconds patience, deadline enough = deadline::max());

/// Takes up all rows of a user from before the migrations, in as many transactions as it takes. Throws
/// postgres_error: retry_later where the time does not suffice; what was committed until then stays.
void take_up_old_rows(connection& on, const std::string& app, const reader& who, const push_terms& terms,
                      deadline until);

} // namespace mana::store
