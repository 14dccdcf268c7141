#include "ws_hub/push_ledger.hpp"

#include "shared/sync/cursor.hpp"

namespace mana::hub {
namespace {

sync::position newest_of(const store::notification& push) {
    return sync::parse_since(push.cursor).at;
}

} // namespace

bool push_ledger::first_news(const store::notification& push, news_source from, clock::time_point now) {
    const auto newest = newest_of(push);
    // A cursor that cannot be read names no push: rather told twice than never.
    if (newest == sync::position{}) return true;
    const std::lock_guard lock{mutex_};
    forget(now);
    const auto [place, first] = heard_from_redis_.try_emplace(newest.time_since_epoch().count(), false);
    if (from == news_source::redis) place->second = true;
    if (first) in_order_.push_back({newest, now});
    return first;
}

bool push_ledger::heard_from_redis(const store::notification& push) const {
    const std::lock_guard lock{mutex_};
    const auto found = heard_from_redis_.find(newest_of(push).time_since_epoch().count());
    return found != heard_from_redis_.end() && found->second;
}

void push_ledger::forget(clock::time_point now) {
    while (!in_order_.empty() && (in_order_.size() >= capacity || in_order_.front().since + memory < now)) {
        heard_from_redis_.erase(in_order_.front().newest.time_since_epoch().count());
        in_order_.pop_front();
    }
}

} // namespace mana::hub
