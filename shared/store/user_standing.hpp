// What the services around us last said of a user (SPEC §6): kept in PostgreSQL, so that all workers and hubs
// know what one of them was told (sql/0007_users.sql).
#pragma once

#include "shared/store/postgres.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

/// Something that was said, and how long ago.
template<class Fact>
struct heard {
    Fact said{};
    std::chrono::milliseconds age{}; ///< by PostgreSQL's clock; below zero where that was set back since
};

struct user_standing {
    std::optional<heard<bool>> sync_active;                ///< billing
    std::optional<heard<std::vector<std::string>>> spaces; ///< memberships, sorted
};

/// Statements that the functions here use, for the connection to prepare.
std::span<const statement> user_standing_statements();

/// Nothing in it where nobody was ever told. Throws postgres_error, as all functions here do.
user_standing read_standing(connection& on, const std::string& user, deadline until);

void keep_sync_active(connection& on, const std::string& user, bool active, deadline until);

void keep_spaces(connection& on, const std::string& user, std::span<const std::string> spaces,
                 deadline until);

} // namespace mana::store
