// What goes wrong during a run, decided beforehand by a seed: a fault strikes whenever so many changes were
// made.
#pragma once

#include "tests/checker/link.hpp"
#include "tests/checker/outages.hpp"
#include "tests/checker/parts/processes.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::checker {

enum class fault {
    worker,
    master,
    hub,
    postgres_connections,
    postgres,
    redis,
    redis_full,
    redis_demoted,
    freeze,
    nginx,
    cut,
    clock,
    disk,
    standby,
    before_commit,
    in_doubt,
    after_commit,
    after_publish,
    in_answer,
    hub_after_publish,
};
const char* to_text(fault kind);
std::string names_of_faults(); ///< all, commas between
/// Names separated by commas, "all" (that this machine has the means for), or none. Throws
/// std::invalid_argument on another one.
std::vector<fault> parse_faults(const std::string& list);
needs needs_of(const std::vector<fault>& kinds);
/// What this machine lacks for faults of that kind, in a few words; empty: nothing.
std::string lacking_for(fault kind);

class fault_schedule {
  public:
    /// Each kind at least twice, in an order that the seed decides. All that is named outlives it.
    fault_schedule(std::vector<fault> kinds, std::uint64_t seed, int changes, processes& on, recovery& after,
                   outage_log& outages);

    /// What is struck while it works.
    struct work {
        std::function<int()> made;      ///< changes so far
        std::function<bool()> over;     ///< whether that is all
        std::function<void(int)> limit; ///< how many changes may be made before the next fault
    };
    /// Strikes when it is time, until all have struck or the work is over. Throws where a part does not come
    /// back.
    void run(const work& meanwhile);

    [[nodiscard]] const std::map<fault, int>& struck() const { return struck_; }

  private:
    /// After how many changes a fault strikes.
    [[nodiscard]] int due(std::size_t which) const;
    /// Whether it did: a point that no work comes to any more is not struck.
    bool strike(fault kind);
    bool kill_at_point(fault kind);
    bool kill_hub_at_point();
    void strike_at_once(fault kind);
    [[nodiscard]] std::optional<pid_t> any_worker();
    void kill_a_worker();
    void cut_postgres() const;
    void freeze_something();
    void cut_network();
    void step_the_clock_back();
    void fill_the_disk();
    void fill_redis();
    void demote_redis();
    void miss_a_standby();
    void tell_redis(const std::vector<std::string>& words) const;
    void end_segment_of_postgres() const;
    int below(int limit) { return static_cast<int>(random_() % static_cast<std::uint64_t>(limit)); }

    std::mt19937_64 random_;
    std::vector<fault> order_;
    int changes_;
    processes& on_;
    recovery& after_;
    outage_log& outages_;
    std::map<fault, int> struck_;
};

} // namespace mana::checker
