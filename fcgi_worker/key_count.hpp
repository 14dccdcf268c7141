// Carries what a process's key set counts over to the counters that all processes share.
#pragma once

#include "shared/gate/key_set.hpp"
#include "shared/metrics/worker_counters.hpp"

namespace mana::fcgi_worker {

class key_count {
  public:
    // What was counted before is left out: a worker inherits its master's counts with the keys. Both stay the
    // caller's and outlive this.
    key_count(const gate::key_set& keys, metrics::worker_counters& shared)
        : keys_{keys}, shared_{shared}, carried_{keys.counts()} {}

    // Adds what came since the last call.
    void carry_over();

  private:
    const gate::key_set& keys_;
    metrics::worker_counters& shared_;
    gate::key_counts carried_;
};

} // namespace mana::fcgi_worker
