#include "shared/metrics/worker_families.hpp"

#include <cstddef>
#include <limits>
#include <prometheus/client_metric.h>
#include <prometheus/metric_type.h>
#include <utility>

namespace mana::metrics {
namespace {

namespace log = runtime::log;
using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

ClientMetric count_of(const counter& counted, labels by = {}) {
    ClientMetric metric;
    metric.label = std::move(by);
    metric.counter.value = static_cast<double>(counted.value());
    return metric;
}

double seconds(std::chrono::microseconds span) {
    return std::chrono::duration<double>{span}.count();
}

// The count is the sum of the buckets: read beside it, a counter of its own could differ from them.
ClientMetric histogram_of(const latency& counted, labels by = {}) {
    ClientMetric metric;
    metric.label = std::move(by);
    auto& made = metric.histogram;
    for (std::size_t i = 0; i < latency::bucket_count; ++i) {
        const bool last = i == latency::bounds.size();
        made.sample_count += counted.in_bucket(i);
        made.bucket.push_back({made.sample_count,
                               last ? std::numeric_limits<double>::infinity() : seconds(latency::bounds[i])});
    }
    made.sample_sum = seconds(counted.total());
    return metric;
}

MetricFamily counters(const char* name, const char* help, std::vector<ClientMetric> metrics) {
    return {name, help, MetricType::Counter, std::move(metrics)};
}

MetricFamily requests(const worker_counters& counted) {
    std::vector<ClientMetric> metrics;
    for (std::size_t to = 0; to < route_names.size(); ++to) {
        const auto& row = counted.requests[to];
        for (std::size_t i = 0; i < row.size(); ++i)
            metrics.push_back(
                count_of(row[i], {{"route", route_names[to]},
                                  {"status", i < statuses.size() ? std::to_string(statuses[i]) : "other"}}));
    }
    return counters("mana_sync_requests_total", "Requests that a worker answered, by route and status.",
                    std::move(metrics));
}

MetricFamily durations(const worker_counters& counted) {
    std::vector<ClientMetric> metrics;
    for (std::size_t to = 0; to < route_names.size(); ++to)
        metrics.push_back(histogram_of(counted.durations[to], {{"route", route_names[to]}}));
    return {"mana_sync_request_duration_seconds",
            "From the moment nginx had a request whole until it was given the answer.", MetricType::Histogram,
            std::move(metrics)};
}

MetricFamily waits(const worker_counters& counted) {
    return {"mana_sync_request_wait_seconds",
            "How long requests waited for a worker to be free: a part of their duration.",
            MetricType::Histogram,
            {histogram_of(counted.waits)}};
}

MetricFamily postgres_failures(const worker_counters& counted) {
    std::vector<ClientMetric> metrics;
    for (std::size_t i = 0; i < remedy_names.size(); ++i)
        metrics.push_back(count_of(counted.postgres_failures[i], {{"remedy", remedy_names[i]}}));
    return counters("mana_sync_postgres_failures_total",
                    "Requests that failed by PostgreSQL, by what can be done next.", std::move(metrics));
}

MetricFamily key_lookups(const worker_counters& counted) {
    return counters("mana_sync_jwks_lookups_total",
                    "Keys that tokens named: hit where the cache answered without a fetch.",
                    {count_of(counted.key_hits, {{"result", "hit"}}),
                     count_of(counted.key_misses, {{"result", "miss"}})});
}

MetricFamily key_fetches(const worker_counters& counted) {
    return counters("mana_sync_jwks_fetches_total", "Fetches of JWKS_URL.",
                    {count_of(counted.keys_fetched, {{"result", "ok"}}),
                     count_of(counted.keys_failed, {{"result", "failed"}})});
}

MetricFamily lookups(const char* name, const char* help, const service_lookups& counted) {
    return counters(name, help,
                    {count_of(counted.hits, {{"result", "hit"}}),
                     count_of(counted.asked, {{"result", "asked"}}),
                     count_of(counted.failed, {{"result", "failed"}})});
}

MetricFamily worker_ends(const worker_counters& counted) {
    return counters("mana_sync_worker_ends_total", "Worker processes that ended unasked, by reason.",
                    {count_of(counted.workers_renewed, {{"reason", "renewed"}}),
                     count_of(counted.workers_died, {{"reason", "died"}}),
                     count_of(counted.workers_stuck, {{"reason", "stuck"}})});
}

MetricFamily workers(const worker_counters& counted, bool served) {
    ClientMetric metric;
    metric.gauge.value = served ? static_cast<double>(counted.workers.value()) : 0;
    return {"mana_sync_workers", "Worker processes that are alive.", MetricType::Gauge, {metric}};
}

} // namespace

std::vector<MetricFamily> worker_families(const worker_counters& counted, bool served) {
    return {
        requests(counted),
        durations(counted),
        waits(counted),
        counters("mana_sync_changes_received_total", "Changes in pushes that could be read.",
                 {count_of(counted.changes_received)}),
        counters("mana_sync_changes_stored_total", "Rows that pushes added to the log.",
                 {count_of(counted.changes_stored)}),
        counters("mana_sync_changes_rejected_total", "Changes that were refused alone.",
                 {count_of(counted.changes_rejected)}),
        counters("mana_sync_fields_lost_total", "Writes of a field that lost to a later one.",
                 {count_of(counted.fields_lost)}),
        counters("mana_sync_claims_capped_total", "Claimed times further ahead than MAX_CLOCK_SKEW.",
                 {count_of(counted.claims_capped)}),
        postgres_failures(counted),
        counters("mana_sync_redis_failures_total", "Pushes that their worker could not tell Redis of.",
                 {count_of(counted.redis_failures)}),
        key_lookups(counted),
        key_fetches(counted),
        lookups("mana_sync_billing_lookups_total", "Whether a user may sync: hit where that was known.",
                counted.billing),
        lookups("mana_sync_membership_lookups_total", "Which spaces a user shares: hit where that was known.",
                counted.memberships),
        counters("mana_sync_worker_starts_total", "Worker processes that were started.",
                 {count_of(counted.worker_starts)}),
        worker_ends(counted),
        workers(counted, served),
    };
}

std::vector<MetricFamily> worker_scrape::collect() {
    const auto found = counters_view::of(path_);
    if (found) return worker_families(found->counters(), found->served());
    const bool expected = found.error() == counters_fault::missing;
    if (!expected && unusable_.admit(std::chrono::steady_clock::now()))
        log::warn("worker_metrics_unusable", {{"file", path_}, {"reason", message(found.error())}});
    return {};
}

} // namespace mana::metrics
