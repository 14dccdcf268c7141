// Which pushes something is known to have: the newest of them, as many as were asked for. Not thread-safe.
#pragma once

#include "ws_hub/push_ledger.hpp"

#include <cstddef>
#include <deque>
#include <unordered_set>

namespace mana::hub {

class told_set {
  public:
    explicit told_set(std::size_t most) : most_(most) {}

    void add(const store::notification& push) {
        const auto [place, is_new] = held_.insert(key_of(push));
        if (!is_new) return;
        in_order_.push_back(&*place); // stays where it is while others come and go
        if (in_order_.size() > most_) forget_first();
    }

    /// Nobody asks any more for those whose position is before `oldest`. They go in the order in which they
    /// came.
    void forget_before(sync::position oldest) {
        while (!in_order_.empty() && in_order_.front()->newest < oldest) forget_first();
    }

    [[nodiscard]] bool has(const store::notification& push) const { return held_.contains(key_of(push)); }

  private:
    const std::size_t most_;
    std::unordered_set<push_key, hash_of_push_key> held_;
    std::deque<const push_key*> in_order_; // as they came

    void forget_first() {
        held_.erase(held_.find(*in_order_.front()));
        in_order_.pop_front();
    }
};

} // namespace mana::hub
