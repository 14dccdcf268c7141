// Whose rows are read: a user's own scope, and those of the spaces that the user is a member of (SPEC §6).
#pragma once

#include <string>
#include <vector>

namespace mana::store {

struct reader {
    std::string user;
    std::string client;              ///< whose own changes are left out; empty: none are
    std::vector<std::string> spaces; ///< ids of the spaces read; empty where sharing is off
};

/// All scopes that a reader reads, own first.
std::vector<std::string> scopes_of(const reader& who);

} // namespace mana::store
