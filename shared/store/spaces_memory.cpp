#include "shared/store/spaces_memory.hpp"

namespace mana::store {

namespace {

constexpr std::size_t names_at_most = 50'000; // some 5 MB

std::string key_of(const std::string& app, const reader& who) {
    return app + '\x1f' + who.user;
}

std::size_t names_in(const std::vector<std::string>& memberships, const shown_spaces& shown) {
    return 1 + memberships.size() + shown.members.size() + shown.whole.size() + shown.copied.size();
}

} // namespace

std::optional<shown_spaces> spaces_memory::find(const std::string& app, const reader& who) const {
    const auto found = by_reader_.find(key_of(app, who));
    if (found == by_reader_.end() || found->second.memberships != who.spaces) return std::nullopt;
    return found->second.shown;
}

void spaces_memory::keep(const std::string& app, const reader& who, const shown_spaces& shown) {
    const auto key = key_of(app, who);
    forget(key);
    if (shown.unfinished) return;
    if (names_ >= names_at_most) {
        by_reader_.clear();
        names_ = 0;
    }
    by_reader_.emplace(key, remembered{who.spaces, shown});
    names_ += names_in(who.spaces, shown);
}

void spaces_memory::forget(const std::string& app, const reader& who) {
    forget(key_of(app, who));
}

void spaces_memory::forget(const std::string& key) {
    const auto found = by_reader_.find(key);
    if (found == by_reader_.end()) return;
    names_ -= names_in(found->second.memberships, found->second.shown);
    by_reader_.erase(found);
}

} // namespace mana::store
