// One worker process: takes requests from the inherited socket, one after the other, until it is told to
// stop.
#pragma once

#include "fcgi_worker/request_rate.hpp"
#include "fcgi_worker/worker_board.hpp"
#include "shared/gate/key_set.hpp"
#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/configuration.hpp"

#include <chrono>

namespace mana::fcgi_worker {

// How long a worker works at one request, and then at sending its answer, before it gives up by itself.
[[nodiscard]] std::chrono::milliseconds patience_of(const runtime::configuration& settings);

// What the master made for all its workers. It outlives them.
struct worker_means {
    int listener;        // nonblocking
    gate::key_set& keys; // a copy in each process; may hold what the master fetched
    request_rate& rate;  // in memory that all share, as the counters
    metrics::worker_counters& counted;
};

// Runs in a child of the master and owns all that it opens. SIGTERM and SIGINT must be blocked: they are read
// where the worker waits for a request, so one that comes in the midst of a request ends the worker after it,
// and none is lost. Returns the status to exit with: 0 when told to stop, master::renewed when it has
// served for long enough. In `seat` it says what it is at.
[[nodiscard]] int run_worker(const runtime::configuration& settings, const worker_means& means,
                             worker_seat& seat);

} // namespace mana::fcgi_worker
