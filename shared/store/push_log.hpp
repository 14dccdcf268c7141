// The pushes of all users, by name and number, for those who tell of them (sql/0005_pushes.sql): what was
// committed, whether or not Redis heard of it (SPEC §8).
//
// A look is a snapshot of the database as text. Between two looks lie the pushes that the first could not see
// and the second can: whoever goes from look to look meets each push exactly once, however late it commits.
//
// `patience` is for each answer of PostgreSQL, for there may be many. All functions throw postgres_error.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/store/postgres.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

/// Statements that the functions here use, for the connection to prepare.
std::span<const statement> push_log_statements();

/// The look of now.
std::string look_now(connection& on, std::chrono::milliseconds patience);

/// Called with some pushes at a time, oldest first.
using pushes_seen = std::function<void(const std::vector<notification>& pushes)>;

/// Hands over all pushes between two looks.
void pushes_between(connection& on, const std::string& seen, const std::string& look, const pushes_seen& take,
                    std::chrono::milliseconds patience);

/// The pushes of the last `span`, newest first, `most` at most.
std::vector<notification> pushes_of_last(connection& on, std::chrono::seconds span, int most,
                                         std::chrono::milliseconds patience);

/// Age of the oldest push of which it is not known yet that Redis heard of it.
std::chrono::duration<double> oldest_unpublished(connection& on, std::chrono::milliseconds patience);

/// Hands over all pushes of which it is not known yet that Redis heard of them, up to `look`. Where `publish`
/// says that it has by now, that is kept; the next call begins there. False, and nothing handed over, while
/// another process is at it.
bool publish_until(connection& on, const std::string& look,
                   const std::function<bool(const std::vector<notification>& pushes)>& publish,
                   std::chrono::milliseconds patience);

/// Removes what Redis heard of more than an hour ago, some of it at a time. Gives how many rows.
std::int64_t forget_pushes(connection& on, std::chrono::milliseconds patience);

} // namespace mana::store
