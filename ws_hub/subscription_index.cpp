#include "ws_hub/subscription_index.hpp"

#include "shared/sync/record.hpp"

#include <algorithm>

namespace mana::hub {
namespace {

bool is_user(const std::string& scope) {
    return scope.starts_with("u:");
}

} // namespace

void subscription_index::add(subscriber& who) {
    by_connection_.try_emplace(&who);
}

void subscription_index::subscribe(subscriber& who, const std::string& scope) {
    const auto [entry, fresh] = by_scope_.try_emplace(scope);
    if (fresh && is_user(scope)) ++users_;
    if (!entry->second.insert(&who).second) return;
    auto& own = by_connection_[&who];
    if (own.empty()) ++listening_;
    own.push_back(&*entry);
}

void subscription_index::unsubscribe(subscriber& who, const std::string& scope) {
    const auto entry = by_scope_.find(scope);
    if (entry == by_scope_.end() || !entry->second.contains(&who)) return;
    auto& own = by_connection_[&who];
    std::erase(own, &*entry);
    if (own.empty()) --listening_;
    leave(who, *entry);
}

void subscription_index::remove(subscriber& who) {
    const auto known = by_connection_.find(&who);
    if (known == by_connection_.end()) return;
    if (!known->second.empty()) --listening_;
    for (scope_entry* const scope : known->second) leave(who, *scope);
    by_connection_.erase(known);
}

const subscription_index::subscribers& subscription_index::of(const std::string& scope) const {
    static const subscribers nobody;
    const auto entry = by_scope_.find(scope);
    return entry == by_scope_.end() ? nobody : entry->second;
}

std::size_t subscription_index::connections_of(const std::string& user) const {
    return of(sync::scope_of_user(user)).size();
}

std::vector<std::string> subscription_index::scopes_of(subscriber& who) const {
    std::vector<std::string> scopes;
    const auto known = by_connection_.find(&who);
    if (known == by_connection_.end()) return scopes;
    for (const scope_entry* const scope : known->second) scopes.push_back(scope->first);
    return scopes;
}

std::vector<subscriber*> subscription_index::all() const {
    std::vector<subscriber*> everyone;
    everyone.reserve(by_connection_.size());
    for (const auto& [who, scopes] : by_connection_) everyone.push_back(who);
    return everyone;
}

void subscription_index::leave(subscriber& who, scope_entry& scope) {
    scope.second.erase(&who);
    if (!scope.second.empty()) return;
    if (is_user(scope.first)) --users_;
    by_scope_.erase(by_scope_.find(scope.first));
}

} // namespace mana::hub
