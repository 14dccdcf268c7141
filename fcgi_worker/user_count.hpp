// Carries what a process's user gate counts over to the counters that all processes share.
#pragma once

#include "shared/gate/user_gate.hpp"
#include "shared/metrics/worker_counters.hpp"

namespace mana::fcgi_worker {

class user_count {
  public:
    // Both stay the caller's and outlive this.
    user_count(const gate::user_gate& users, metrics::worker_counters& shared)
        : users_{users}, shared_{shared}, carried_{users.counts()} {}

    // Adds what came since the last call.
    void carry_over();

  private:
    const gate::user_gate& users_;
    metrics::worker_counters& shared_;
    gate::user_gate_counts carried_;
};

} // namespace mana::fcgi_worker
