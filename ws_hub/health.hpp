// How the hub is: what /health and /metrics say. Used on the io thread only.
#pragma once

#include "shared/metrics/worker_families.hpp"
#include "ws_hub/log_sweep.hpp"
#include "ws_hub/metrics.hpp"
#include "ws_hub/redis_feed.hpp"
#include "ws_hub/subscription_index.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

namespace mana::hub {

class health {
  public:
    /// What is passed by reference outlives it. `worker_metrics`: the file of the workers' counters.
    health(const subscription_index& index, const redis_feed& feed, const log_sweep& sweep, metrics& counts,
           std::string worker_metrics)
        : index_(index), feed_(feed), sweep_(sweep), counts_(counts), workers_(std::move(worker_metrics)) {}

    /// JSON. The status is ok for as long as the hub can answer: without Redis or PostgreSQL it still holds
    /// its connections. What each figure measures: docs/operations.md.
    [[nodiscard]] std::string report(std::chrono::system_clock::time_point now) const;
    /// Prometheus text.
    [[nodiscard]] std::string metrics_text();

  private:
    const subscription_index& index_;
    const redis_feed& feed_;
    const log_sweep& sweep_;
    metrics& counts_;
    mana::metrics::worker_scrape workers_;

    [[nodiscard]] std::string_view redis_state() const;
};

} // namespace mana::hub
