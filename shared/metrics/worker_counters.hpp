// What the worker processes of one host count (docs/metrics.md), in a file that all of them map.
//
// The master makes the file before it forks, and its workers add to the mapping that they inherit. So one
// look has the sums of all, and what a worker counted stays when it dies, however it dies. The hub maps the
// file read-only for each scrape.
#pragma once

#include "shared/runtime/unique_fd.hpp"

#include <array>
#include <atomic>
#include <boost/system/result.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace mana::metrics {

// Relaxed throughout: no counter says anything of another one. Lock-free, since a lock would be of one
// process.
class counter {
  public:
    void add(std::uint64_t more = 1) noexcept { value_.fetch_add(more, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
    std::atomic<std::uint64_t> value_{0};
};

// Set by one process, read by any.
class gauge {
  public:
    void set(std::uint64_t now) noexcept { value_.store(now, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

// Durations, counted by how long they were.
class latency {
  public:
    // A bucket has what is longer than the bound before and not longer than its own.
    static constexpr auto bounds = [] {
        using namespace std::chrono_literals;
        return std::array<std::chrono::microseconds, 13>{1ms,   2'500us, 5ms, 10ms,    25ms, 50ms, 100ms,
                                                         250ms, 500ms,   1s,  2'500ms, 5s,   10s};
    }();
    static constexpr std::size_t bucket_count = bounds.size() + 1; // the last has what is longer than all

    void observe(std::chrono::microseconds took) noexcept; // negative counts as none
    [[nodiscard]] std::uint64_t in_bucket(std::size_t index) const noexcept {
        return buckets_[index].value();
    }
    [[nodiscard]] std::chrono::microseconds total() const noexcept;

  private:
    std::array<counter, bucket_count> buckets_;
    counter microseconds_;
};

enum class route { push, pull, other };
inline constexpr std::array route_names{"push", "pull", "other"};

// Those that have a place of their own. All others share one.
inline constexpr std::array statuses{200, 400, 401, 402, 404, 405, 413, 500, 503};

// In the order of store::remedy.
inline constexpr std::array remedy_names{"retry_now", "retry_later", "reconnect", "in_doubt", "report"};

// Questions about users that one of the services around us answers.
struct service_lookups {
    counter hits;   // it was known, in the process or in PostgreSQL
    counter asked;  // the service said so
    counter failed; // it did not
};

// Two builds that share a file agree on this: whoever changes it changes layout_version in
// worker_counters.cpp.
struct worker_counters {
    std::array<std::array<counter, statuses.size() + 1>, route_names.size()> requests;
    std::array<latency, route_names.size()> durations; // the wait included
    latency waits;                                     // until a worker was free

    counter changes_received;
    counter changes_stored;
    counter changes_rejected;
    counter fields_lost;
    counter claims_capped;

    std::array<counter, remedy_names.size()> postgres_failures;
    counter redis_failures;

    counter key_hits;
    counter key_misses;
    counter keys_fetched;
    counter keys_failed;

    service_lookups billing;
    service_lookups memberships;

    counter worker_starts;
    counter workers_renewed; // ended as they had served long enough
    counter workers_died;
    counter workers_stuck; // killed
    gauge workers;

    // One request that was answered. `took`: since a worker had it.
    void answered(route to, int status, std::chrono::microseconds waited,
                  std::chrono::microseconds took) noexcept;
};

struct counters_layout;
struct unmap_counters {
    void operator()(const counters_layout* mapped) const noexcept;
};

// The master's side: a mapping that fork() hands down.
class counters_file {
  public:
    // Puts a new file, all zero, in the place of one that is there: who reads sees the one or the other
    // whole. It may be read by owner and group. Throws std::runtime_error of one line that names `variable`.
    counters_file(std::string_view variable, const std::string& path);

    [[nodiscard]] worker_counters& counters() const noexcept;

    // The destructor leaves the file: the last counts can still be scraped.

  private:
    // Locked. Master and workers share the lock, as they share the open file, and it ends with the last of
    // them.
    runtime::unique_fd file_;
    std::unique_ptr<counters_layout, unmap_counters> mapped_;
};

enum class counters_fault {
    missing,    // there is no file: this host has had no workers
    unreadable, // it may not be read
    foreign,    // another build's, or none of ours
};
[[nodiscard]] std::string_view message(counters_fault fault) noexcept;

// The hub's side: as the file was found, with counters that go on growing.
class counters_view {
  public:
    [[nodiscard]] static boost::system::result<counters_view, counters_fault> of(const std::string& path);

    [[nodiscard]] const worker_counters& counters() const noexcept;

    // Whether the master that made the file, or one of its workers, was alive: if not, the gauges are of the
    // past.
    [[nodiscard]] bool served() const noexcept { return served_; }

  private:
    using mapping = std::unique_ptr<const counters_layout, unmap_counters>;
    counters_view(mapping mapped, bool served) noexcept : mapped_{std::move(mapped)}, served_{served} {}

    mapping mapped_;
    bool served_;
};

} // namespace mana::metrics
