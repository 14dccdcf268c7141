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

#include <algorithm>
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

/// Ages of the oldest push of which it is not known yet that all channels, or the stream, have it; 0: none.
struct untold_age {
    std::chrono::duration<double> channels{};
    std::chrono::duration<double> stream{};
    [[nodiscard]] std::chrono::duration<double> longest() const { return std::max(channels, stream); }
};
untold_age oldest_untold(connection& on, std::chrono::milliseconds patience);

/// Tells some pushes, oldest first, and gives how many of them, from the first on, have been told by then.
/// What is less than all ends the call.
using pushes_told = std::function<std::size_t(const std::vector<notification>& pushes)>;

/// Hands over the pushes of which it is not known yet that `place` has them, up to `look`. What `tell` says
/// is kept; the next call begins there (pushes of one transaction count together). False, and nothing handed
/// over, while another process is at it.
bool tell_until(connection& on, told_place place, const std::string& look, const pushes_told& tell,
                std::chrono::milliseconds patience);

/// Removes what channels and stream have had for more than an hour, some of it at a time. Gives how many
/// rows.
std::int64_t forget_pushes(connection& on, std::chrono::milliseconds patience);

} // namespace mana::store
