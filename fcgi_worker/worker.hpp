// One worker process: takes requests from the inherited socket, one after the other, until it is told to
// stop.
#pragma once

#include "shared/gate/key_set.hpp"
#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/configuration.hpp"

namespace mana::fcgi_worker {

// Runs in a child of the master and owns all that it opens. SIGTERM and SIGINT must be blocked: they are read
// where the worker waits for a request, so one that comes in the midst of a request ends the worker after it,
// and none is lost. Returns the status to exit with: 0 when told to stop. `listener` is nonblocking and
// shared with the other workers. `keys` may hold what the master fetched. `counted` is shared
// with all of them.
[[nodiscard]] int run_worker(const runtime::configuration& settings, int listener, gate::key_set& keys,
                             metrics::worker_counters& counted);

} // namespace mana::fcgi_worker
