#include "ws_hub/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace mana::hub {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

Family<Counter>& counters(prometheus::Registry& in, const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(in);
}

Family<Gauge>& gauge_family(prometheus::Registry& in, const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(in);
}

Counter& counter(prometheus::Registry& in, const char* name, const char* help) {
    return counters(in, name, help).Add({});
}

Gauge& gauge(prometheus::Registry& in, const char* name, const char* help) {
    return gauge_family(in, name, help).Add({});
}

Histogram& latency(prometheus::Registry& in, const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(in).Add(
        {}, Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5});
}

const char* name_of(connection_kind kind) {
    return kind == connection_kind::websocket ? "websocket" : "stream";
}

/// One of a family for each kind of connection.
template<class Metric>
struct by_kind {
    explicit by_kind(Family<Metric>& family)
        : each{&family.Add({{"kind", "websocket"}}), &family.Add({{"kind", "stream"}})} {}
    Metric& operator[](connection_kind kind) const { return *each[static_cast<std::size_t>(kind)]; }
    std::array<Metric*, 2> each;
};

} // namespace

struct metrics::registered {
    prometheus::Registry all;

    // Names that the server before this one had.
    Gauge& connections =
        gauge(all, "mana_sync_connections_total", "Open connections that said who they are.");
    Gauge& users = gauge(all, "mana_sync_users_connected", "Users with at least one open connection.");

    Gauge& redis_up = gauge(all, "mana_sync_hub_redis_up", "Whether Redis tells the hub of pushes.");
    Family<Gauge>& redis_refuses =
        gauge_family(all, "mana_sync_hub_redis_refuses",
                     "Whether Redis refused what it was told last, for the channels or the stream.");
    Gauge& channels_refused = redis_refuses.Add({{"place", "channels"}});
    Gauge& stream_refused = redis_refuses.Add({{"place", "stream"}});
    Gauge& postgres_up =
        gauge(all, "mana_sync_hub_postgres_up", "Whether PostgreSQL answered the hub's last look.");

    Gauge& standby_missing = gauge(all, "mana_sync_hub_standby_missing",
                                   "Whether commits wait for a synchronous standby in vain.");

    by_kind<Gauge> open{gauge_family(all, "mana_sync_hub_connections", "Open connections by kind.")};
    by_kind<Counter> opened{counters(all, "mana_sync_hub_opened_total", "Connections that were opened.")};
    Family<Counter>& closed =
        counters(all, "mana_sync_hub_closed_total", "Connections that ended, by kind and reason.");

    Family<Counter>& notifications =
        counters(all, "mana_sync_hub_notifications_total",
                 "Pushes told to the hub, by who told it, repeated ones included.");
    Counter& from_redis = notifications.Add({{"source", "redis"}});
    Counter& from_log = notifications.Add({{"source", "log"}});
    Counter& finds = counter(all, "mana_sync_hub_sweep_finds_total",
                             "Pushes that the hub's clients were told of by the sweep of the log alone.");
    Gauge& waiting =
        gauge(all, "mana_sync_hub_pending", "Connections for which a notification waits to be written.");
    Counter& coalesced = counter(all, "mana_sync_hub_coalesced_total",
                                 "Notifications that were told together with one that was waiting.");
    by_kind<Counter> sent{
        counters(all, "mana_sync_hub_sent_total", "WebSocket messages and stream events that were written.")};
    Histogram& publish_to_send =
        latency(all, "mana_sync_hub_publish_to_send_seconds",
                "From the publishing of a push in Redis to the writing of its news.");

    Family<Counter>& pages = counters(all, "mana_sync_hub_pages_total", "Pages of the log read for streams.");
    Counter& pages_read = pages.Add({{"result", "read"}});
    Counter& pages_failed = pages.Add({{"result", "failed"}});

    Family<Counter>& sweeps = counters(all, "mana_sync_hub_sweeps_total", "Looks at the log of pushes.");
    Counter& sweeps_done = sweeps.Add({{"result", "done"}});
    Counter& sweeps_failed = sweeps.Add({{"result", "failed"}});
    Family<Counter>& published_late =
        counters(all, "mana_sync_hub_published_late_total",
                 "Pushes that Redis was told of by the sweep, not by their worker.");
    Counter& channels_late = published_late.Add({{"place", "channels"}});
    Counter& stream_late = published_late.Add({{"place", "stream"}});
    Family<Counter>& foreign_rows =
        counters(all, "mana_sync_foreign_rows_total", "Rows that other programs wrote into the log.");
    Counter& rows_taken_up = foreign_rows.Add({{"result", "taken_up"}});
    Counter& rows_skipped = foreign_rows.Add({{"result", "skipped"}});
    Counter& foreign_lost = counter(all, "mana_sync_foreign_fields_lost_total",
                                    "Fields of such rows that lost to a later write.");
    Counter& foreign_capped = counter(all, "mana_sync_foreign_claims_capped_total",
                                      "Claimed times of such rows further ahead than MAX_CLOCK_SKEW.");
    Gauge& oldest_unpublished = gauge(all, "mana_sync_oldest_unpublished_push_age_seconds",
                                      "Age of the oldest push that a channel or the stream of Redis is not "
                                      "known to have; below 3 where all is "
                                      "well.");
};

metrics::metrics() : all_(std::make_unique<registered>()) {}
metrics::~metrics() = default;

void metrics::opened(connection_kind kind) {
    all_->opened[kind].Increment();
    all_->open[kind].Increment();
}

void metrics::closed(connection_kind kind, const ending& why) {
    all_->open[kind].Decrement();
    all_->closed.Add({{"kind", name_of(kind)}, {"reason", std::string{why.reason}}}).Increment();
}

void metrics::notified(news_source from, bool first) {
    (from == news_source::redis ? all_->from_redis : all_->from_log).Increment();
    if (first && from == news_source::log) all_->finds.Increment();
}

void metrics::began_to_wait() {
    all_->waiting.Increment();
}

void metrics::ended_to_wait() {
    all_->waiting.Decrement();
}

void metrics::coalesced() {
    all_->coalesced.Increment();
}

void metrics::sent(connection_kind kind) {
    all_->sent[kind].Increment();
}

void metrics::told_after(std::chrono::duration<double> since_published) {
    all_->publish_to_send.Observe(since_published.count());
}

void metrics::page_read(bool well) {
    (well ? all_->pages_read : all_->pages_failed).Increment();
}

void metrics::swept(std::chrono::duration<double> oldest_unpublished) {
    all_->sweeps_done.Increment();
    all_->oldest_unpublished.Set(oldest_unpublished.count());
}

void metrics::sweep_failed() {
    all_->sweeps_failed.Increment();
}

void metrics::published_late(store::told_place place, std::size_t count) {
    auto& late = place == store::told_place::stream ? all_->stream_late : all_->channels_late;
    late.Increment(static_cast<double>(count));
}

void metrics::taken_up(std::size_t rows, std::size_t skipped, std::size_t lost, std::size_t capped) {
    all_->rows_taken_up.Increment(static_cast<double>(rows));
    all_->rows_skipped.Increment(static_cast<double>(skipped));
    all_->foreign_lost.Increment(static_cast<double>(lost));
    all_->foreign_capped.Increment(static_cast<double>(capped));
}

std::string metrics::text(const gauges& now, std::vector<prometheus::MetricFamily> workers) {
    all_->connections.Set(static_cast<double>(now.connections));
    all_->users.Set(static_cast<double>(now.users));
    all_->redis_up.Set(now.redis_up ? 1 : 0);
    all_->channels_refused.Set(now.channels_refused ? 1 : 0);
    all_->stream_refused.Set(now.stream_refused ? 1 : 0);
    all_->postgres_up.Set(now.postgres_up ? 1 : 0);
    all_->standby_missing.Set(now.standby_missing ? 1 : 0);
    auto families = all_->all.Collect();
    std::ranges::move(workers, std::back_inserter(families));
    return prometheus::TextSerializer{}.Serialize(families);
}

} // namespace mana::hub
