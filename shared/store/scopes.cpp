#include "shared/store/scopes.hpp"

#include "shared/sync/record.hpp"

namespace mana::store {

std::vector<std::string> scopes_of(const reader& who) {
    std::vector<std::string> scopes{sync::scope_of_user(who.user)};
    for (const auto& space : who.spaces) scopes.push_back(sync::scope_of_space(space));
    return scopes;
}

std::string scope_of_copies(std::string_view user, std::string_view space) {
    return std::string("m:").append(user).append("\x1f").append(space);
}

std::vector<std::string> scopes_of(const std::string& user, const shown_spaces& shown) {
    auto scopes = scopes_of({user, {}, shown.whole});
    for (const auto& space : shown.copied) scopes.push_back(scope_of_copies(user, space));
    return scopes;
}

std::vector<std::string> subscriptions_of(const reader& who) {
    return scopes_of(who.user, {who.spaces, who.spaces, who.spaces, {}});
}

} // namespace mana::store
