// The workers' counters as Prometheus has them: names, labels and help (docs/metrics.md).
#pragma once

#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/log.hpp"

#include <chrono>
#include <prometheus/metric_family.h>
#include <string>
#include <utility>
#include <vector>

namespace mana::metrics {

// `served`: see counters_view. Without it there are no workers, whatever the gauge says.
[[nodiscard]] std::vector<prometheus::MetricFamily> worker_families(const worker_counters& counted,
                                                                    bool served);

// What one host's workers add to a scrape. Any thread.
class worker_scrape {
  public:
    // `path`: WORKER_METRICS.
    explicit worker_scrape(std::string path) : path_{std::move(path)} {}

    // As of now. None where there is no file, as on a host without workers; nor where it cannot be used: that
    // is logged, once in a while.
    [[nodiscard]] std::vector<prometheus::MetricFamily> collect();

  private:
    const std::string path_;
    runtime::log::limiter unusable_{std::chrono::minutes{10}};
};

} // namespace mana::metrics
