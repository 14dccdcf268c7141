// Whose rows are read: a user's own scope, and those of the spaces that the user is a member of (SPEC §6).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mana::store {

struct reader {
    std::string user;
    std::string client;              ///< whose own changes are left out; empty: none are
    std::vector<std::string> spaces; ///< ids of the spaces that are the user's; empty where sharing is off
};

/// All scopes in which a user's records can live, own first.
std::vector<std::string> scopes_of(const reader& who);

/// What one user's pages in one app show of spaces: see follow_spaces().
struct shown_spaces {
    std::vector<std::string> members; ///< of which the user is a member, shown or not
    std::vector<std::string> whole;   ///< shown
    std::vector<std::string> copied;  ///< whose copies for this user are shown
    std::string version;              ///< another one as soon as others are shown
    bool unfinished = false;          ///< some are still being copied, and the next call goes on with it
};

/// "m:<user>\x1f<space>": copies of a space's records for someone who joined it.
std::string scope_of_copies(std::string_view user, std::string_view space);

/// The scopes of a page, own first.
std::vector<std::string> scopes_of(const std::string& user, const shown_spaces& shown);

/// All scopes in which something can come that is shown to this reader: what to listen to.
std::vector<std::string> subscriptions_of(const reader& who);

} // namespace mana::store
