// Whether commits wait for a synchronous standby that does not confirm them.
#pragma once

#include "shared/store/postgres.hpp"

#include <chrono>
#include <span>

namespace mana::store {

struct standby_state {
    bool asked_for = false;     ///< by synchronous_standby_names, and the role's commits heed it
    bool none_connected = true; ///< not one standby, whatever its name
    std::chrono::milliseconds longest_wait{}; ///< of a commit by this role that waits for a standby now

    /// A standby that is there takes milliseconds.
    [[nodiscard]] bool missing() const {
        return asked_for && (none_connected || longest_wait >= std::chrono::seconds{1});
    }
};

/// Statements that look_at_standby sends, for the connection to prepare.
std::span<const statement> standby_statements();

/// Waits for no standby itself. The role of the service may not see which standby has which name: so one of
/// another name is noticed only by commits that wait. Throws postgres_error.
standby_state look_at_standby(connection& on, deadline until);

/// Ends the waiting of commits by this role's programs of mana-sync that nobody can wait for any more: of a
/// worker that was killed. Whoever waits all the same is told that the standby lacks it
/// (connection::finish). Throws postgres_error.
void end_forgotten_waits(connection& on, std::chrono::milliseconds older_than, deadline until);

} // namespace mana::store
