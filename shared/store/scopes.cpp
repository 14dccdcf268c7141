#include "shared/store/scopes.hpp"

#include "shared/sync/record.hpp"

namespace mana::store {

std::vector<std::string> scopes_of(const reader& who) {
    std::vector<std::string> scopes{sync::scope_of_user(who.user)};
    for (const auto& space : who.spaces) scopes.push_back(sync::scope_of_space(space));
    return scopes;
}

} // namespace mana::store
