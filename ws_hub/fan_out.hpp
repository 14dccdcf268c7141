// From a push that somebody told of to all connections that listen to its scope: once, whoever told it first.
// Pure: no sockets, no I/O. Used on the io thread only.
#pragma once

#include "shared/store/notification.hpp"
#include "ws_hub/push_ledger.hpp"
#include "ws_hub/subscription_index.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

namespace mana::hub {

class fan_out {
  public:
    using clock = push_ledger::clock;

    // Clients come back within this after the hub was started again: for so long it keeps what they may have
    // missed, up to so many pushes.
    static constexpr std::chrono::seconds return_time{60};
    static constexpr std::size_t missed_at_most = 100'000;

    /// Both outlive it. `started`: when the hub began to serve.
    fan_out(subscription_index& index, push_ledger& ledger, clock::time_point started)
        : index_(index), ledger_(ledger), missed_until_(started + return_time) {}

    /// Tells those who listen, unless they were told before. False: they were.
    bool tell(const store::notification& push, news_source from, clock::time_point now);

    /// A push from before the hub began to serve: nobody was here to be told, some may come back.
    void keep_for_returning(const store::notification& push);

    /// `who` listens to `scope` from now on, and hears of what was pushed there while the hub was away.
    void subscribe(subscriber& who, const std::string& scope, clock::time_point now);

  private:
    subscription_index& index_;
    push_ledger& ledger_;
    const clock::time_point missed_until_;
    std::unordered_map<std::string, std::vector<store::notification>> missed_; // by scope
    std::size_t missed_count_ = 0;
};

} // namespace mana::hub
