#include "ws_hub/push_ledger.hpp"

#include "shared/sync/cursor.hpp"

#include <functional>
#include <utility>

namespace mana::hub {

push_key key_of(const store::notification& push) {
    return {sync::parse_since(push.cursor).at, push.scope};
}

std::size_t hash_of_push_key::operator()(const push_key& key) const noexcept {
    const auto of_position = std::hash<sync::position::rep>{}(key.newest.time_since_epoch().count());
    return of_position * 31 + std::hash<std::string>{}(key.scope);
}

bool push_ledger::first_news(const store::notification& push, news_source from, clock::time_point now) {
    auto key = key_of(push);
    // A cursor that cannot be read names no push: rather told twice than never.
    if (key.newest == sync::position{}) return true;
    const std::lock_guard lock{mutex_};
    forget(now);
    const auto [place, first] = heard_from_redis_.try_emplace(std::move(key), false);
    if (from == news_source::redis) place->second = true;
    if (first) in_order_.push_back({&*place, now});
    return first;
}

bool push_ledger::heard_from_redis(const store::notification& push) const {
    const auto key = key_of(push);
    const std::lock_guard lock{mutex_};
    const auto found = heard_from_redis_.find(key);
    return found != heard_from_redis_.end() && found->second;
}

void push_ledger::forget(clock::time_point now) {
    while (!in_order_.empty() && (in_order_.size() >= capacity || in_order_.front().since + memory < now)) {
        heard_from_redis_.erase(heard_from_redis_.find(in_order_.front().which->first));
        in_order_.pop_front();
    }
}

} // namespace mana::hub
