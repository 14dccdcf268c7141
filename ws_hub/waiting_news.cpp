#include "ws_hub/waiting_news.hpp"

#include "shared/store/notification.hpp"

namespace mana::hub {
namespace {

const std::string anything{store::any_table};

} // namespace

void waiting_news::add(const std::string& app, const std::vector<std::string>& tables) {
    auto& names = waiting_[waiting_.contains(anything) ? anything : app];
    names_ -= names.size();
    names.insert(tables.begin(), tables.end());
    if (names_ + names.size() > names_at_most) names = {anything};
    names_ += names.size();
    if (names_ <= names_at_most) return;
    waiting_ = {{anything, {anything}}};
    names_ = 1;
}

std::pair<std::string, std::set<std::string>> waiting_news::take() {
    auto first = waiting_.extract(waiting_.begin());
    names_ -= first.mapped().size();
    return {std::move(first.key()), std::move(first.mapped())};
}

void waiting_news::clear() {
    waiting_.clear();
    names_ = 0;
}

} // namespace mana::hub
