#include "ws_hub/fan_out.hpp"

#include <algorithm>

namespace mana::hub {

bool fan_out::tell(const store::notification& push, news_source from, clock::time_point now) {
    if (!ledger_.first_news(push, from, now)) return false;
    if (now < kept_until_)
        keep(push);
    else
        forget_kept();
    for (subscriber* const each : index_.of(push.scope)) each->hear(push);
    return true;
}

void fan_out::keep(const store::notification& push) {
    if (missed_count_ == missed_at_most) return;
    ++missed_count_;
    missed_[push.scope].push_back(push);
}

void fan_out::forget_kept() {
    missed_.clear();
    missed_count_ = 0;
}

void fan_out::await_listeners(clock::time_point now) {
    if (now >= kept_until_) forget_kept(); // of another time
    kept_until_ = std::max(kept_until_, now + return_time);
}

bool fan_out::listen_to(subscriber& who, const std::vector<std::string>& scopes, clock::time_point now) {
    const auto before = index_.scopes_of(who);
    for (const auto& scope : before)
        if (std::ranges::find(scopes, scope) == scopes.end()) index_.unsubscribe(who, scope);
    bool any_new = false;
    for (const auto& scope : scopes) {
        if (std::ranges::find(before, scope) != before.end()) continue;
        any_new = true;
        index_.subscribe(who, scope);
        if (now < kept_until_) tell_missed(who, scope);
    }
    return any_new;
}

void fan_out::tell_missed(subscriber& who, const std::string& scope) {
    const auto missed = missed_.find(scope);
    if (missed == missed_.end()) return;
    for (const auto& push : missed->second) who.hear(push);
}

} // namespace mana::hub
