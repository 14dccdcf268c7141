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

    // Clients come back within this after the hub was started: for so long it keeps what it is told for those
    // who do not listen yet, up to so many pushes.
    static constexpr std::chrono::seconds return_time{60};
    static constexpr std::size_t missed_at_most = 50'000;

    /// Both outlive it. `started`: when the hub began to serve.
    fan_out(subscription_index& index, push_ledger& ledger, clock::time_point started)
        : index_(index), ledger_(ledger), kept_until_(started + return_time) {}

    /// Tells those who listen, unless they were told before. False: they were.
    bool tell(const store::notification& push, news_source from, clock::time_point now);

    /// Somebody is here whose scopes are not all known yet: what is told from now on is kept for them, as
    /// after the start of the hub.
    void await_listeners(clock::time_point now);

    /// `who` listens to these scopes from now on, and to no others. It also hears of what was told there
    /// before and is still kept. True where it listens to a scope that is
    /// new to it.
    bool listen_to(subscriber& who, const std::vector<std::string>& scopes, clock::time_point now);

  private:
    subscription_index& index_;
    push_ledger& ledger_;
    clock::time_point kept_until_;
    std::unordered_map<std::string, std::vector<store::notification>> missed_; // by scope
    std::size_t missed_count_ = 0;

    void keep(const store::notification& push);
    void forget_kept();
    void tell_missed(subscriber& who, const std::string& scope);
};

} // namespace mana::hub
