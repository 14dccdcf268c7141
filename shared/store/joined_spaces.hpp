// Who joins a space gets its records, though their cursor lies beyond them; who leaves sees no more of it
// (SPEC §6, sql/0008_joined_spaces.sql).
//
// A space is shown to a user once all of its records have been copied for that user as new rows. Pages take
// part: they must be read with what is shown now, which they check (see spaces_changed in page_reader.hpp).
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"

#include <span>
#include <string>

namespace mana::store {

/// Statements that follow_spaces uses, for the connection to prepare. page_statements() has them all.
std::span<const statement> joined_spaces_statements();

/// Brings what is shown to `member` in `app` to the spaces that the user is a member of: those that
/// memberships last told of, to whichever process (sync_users); `member.spaces` where they told nothing.
/// Copies what is new for at most half of the time, some 1,000 records a transaction, and leaves the rest to
/// the next call; until then the space is not shown. One round trip where nothing is new.
/// Throws postgres_error, never in_doubt.
shown_spaces follow_spaces(connection& on, const std::string& app, const reader& member, deadline until);

} // namespace mana::store
