// What the hub counts (docs/metrics.md), and the text of GET /metrics. All functions may be called from any
// thread.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/sync/time.hpp"
#include "ws_hub/ending.hpp"
#include "ws_hub/push_ledger.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
struct MetricFamily;
}

namespace mana::hub {

enum class connection_kind { websocket, stream };

/// How things are at the moment of a scrape.
struct gauges {
    std::size_t connections = 0; ///< that said who they are
    std::size_t users = 0;
    bool redis_up = false;
    bool channels_refused = false; ///< by Redis, of what it was told last
    bool stream_refused = false;
    bool postgres_up = false;
    bool standby_missing = false;
};

class metrics {
  public:
    metrics();
    ~metrics();
    metrics(const metrics&) = delete;
    metrics& operator=(const metrics&) = delete;

    void opened(connection_kind kind);
    void closed(connection_kind kind, const ending& why);

    /// A push came to be known, and where from; `first`: not told to anyone before.
    void notified(news_source from, bool first);
    /// A connection has something to be told, and had nothing before.
    void began_to_wait();
    /// The same is on its way, or is not wanted any more.
    void ended_to_wait();
    /// A push was told together with one that was waiting already.
    void coalesced();
    /// A message or an event was handed to the kernel.
    void sent(connection_kind kind);
    /// … which was the first to tell of a push that Redis was given at that time.
    void told_after(std::chrono::duration<double> since_published);

    /// A page of the log was read for a stream, or could not be.
    void page_read(bool well);

    void swept(std::chrono::duration<double> oldest_unpublished);
    void sweep_failed();
    /// Pushes that Redis was told of by the sweep, not by their worker.
    void published_late(store::told_place place, std::size_t count);

    /// Rows of other programs: shown to readers from now on, or set aside; and fields of them that lost, or
    /// claimed a time too far ahead.
    void taken_up(std::size_t rows, std::size_t skipped, std::size_t lost, std::size_t capped);

    /// Prometheus text, with that of the workers on this host at the end.
    [[nodiscard]] std::string text(const gauges& now, std::vector<prometheus::MetricFamily> workers);

  private:
    struct registered;
    const std::unique_ptr<registered> all_;
};

} // namespace mana::hub
