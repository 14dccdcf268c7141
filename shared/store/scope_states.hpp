// What every transaction that writes scopes is made of beside its rows of the log: the scopes' locks, the
// states of the records that it meets, and the writes that lost. A push and the taking up of other programs'
// rows share it.
//
// The functions `send_…` put statements into the transaction's pipeline; the others read their results.
#pragma once

#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"
#include "shared/sync/merge.hpp"
#include "shared/sync/record.hpp"

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::store {

/// Statements that the functions here use, for the connection to prepare.
std::span<const statement> scope_statements();

/// What a transaction learns as it locks the scopes that it writes.
struct scope_locks {
    sync::instant receipt;      ///< by the database's clock
    sync::position newest;      ///< every position that is taken after this is later
    bool old_rows_wait = false; ///< rows of the user from before the migrations, see take_up.hpp
};
void send_lock(transaction& in, const std::string& app, const std::set<std::string>& scopes);
scope_locks locks_in(const rows& locked);

/// The states of records that are touched would take more memory than one request may. Fewer at a time would
/// not.
class records_too_large : public postgres_error {
  public:
    records_too_large();
};

/// Tables and record ids.
using record_names = std::set<std::pair<std::string, std::string>>;
/// Asks for the states of these records in all scopes of `who`. After the locks.
void send_records(transaction& in, const std::string& app, const reader& who, const record_names& named);
/// Throws records_too_large.
sync::record_map records_in(const rows& states, const std::string& user);

/// Stores the states that were touched.
void send_touched_records(transaction& in, const std::string& app, const std::string& user,
                          const sync::record_map& records);

/// Keeps writes that lost, and removes this user's of more than `days` ago.
void send_lost_writes(transaction& in, const std::string& app, const std::string& user,
                      const std::string& client, const std::vector<sync::lost_write>& lost, int days);

/// A row of the log as its columns hold it. A tombstone has no data.
struct stored_change {
    std::optional<std::string> data;
    std::string field_meta;
    std::optional<std::string> held; ///< each hold with its user
    std::string bytes;               ///< what it weighs in an answer
};
stored_change to_stored(const sync::log_row& row);

/// For a nullable column: nothing where the text is empty.
std::optional<std::string> text_or_null(const std::string& text);

} // namespace mana::store
