// Which migrations a database has, and which it should have.
#pragma once

#include "shared/store/postgres.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace mana::admin {

struct migration_state {
    std::size_t applied = 0;
    std::string newest;               // of those applied; empty: none
    std::vector<std::string> missing; // in the folder and not applied, in order
    std::vector<std::string> unknown; // applied and not in the folder
};

// Throws store::postgres_error, and std::runtime_error where the folder cannot be read or has none.
[[nodiscard]] migration_state migrations_of(store::connection& on, const std::string& sql_dir);

// "a, b, c"
[[nodiscard]] std::string joined(const std::vector<std::string>& names);

} // namespace mana::admin
