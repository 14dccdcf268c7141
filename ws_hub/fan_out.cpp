#include "ws_hub/fan_out.hpp"

namespace mana::hub {

bool fan_out::tell(const store::notification& push, news_source from, clock::time_point now) {
    if (!ledger_.first_news(push, from, now)) return false;
    if (now < returned_by_)
        keep(push);
    else
        missed_.clear();
    for (subscriber* const each : index_.of(push.scope)) each->hear(push);
    return true;
}

void fan_out::keep(const store::notification& push) {
    if (missed_count_ == missed_at_most) return;
    ++missed_count_;
    missed_[push.scope].push_back(push);
}

void fan_out::subscribe(subscriber& who, const std::string& scope, clock::time_point now) {
    index_.subscribe(who, scope);
    if (now >= returned_by_) return;
    const auto missed = missed_.find(scope);
    if (missed == missed_.end()) return;
    for (const auto& push : missed->second) who.hear(push);
}

} // namespace mana::hub
