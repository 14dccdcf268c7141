#include "tests/checker/faults.hpp"

#include "tests/checker/database.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace mana::checker {

using namespace std::chrono_literals;

namespace {

struct named_kind {
    fault kind;
    const char* name;
};
constexpr std::array every_kind{
    named_kind{fault::worker, "worker"},     named_kind{fault::master, "master"},
    named_kind{fault::hub, "hub"},           named_kind{fault::postgres_connections, "postgres-connections"},
    named_kind{fault::postgres, "postgres"}, named_kind{fault::redis, "redis"},
    named_kind{fault::freeze, "freeze"},     named_kind{fault::nginx, "nginx"}};

constexpr int times_each = 2;
/// When the work has come to its limit, nobody may be left to push.
constexpr auto longest_wait_for_recovery = 500ms;
constexpr int changes_of_a_fault = 1'000;

/// Stops a process, and lets it go on however the stop ends.
class stopped {
  public:
    explicit stopped(pid_t pid) : pid_(pid) { ::kill(pid_, SIGSTOP); }
    ~stopped() { ::kill(pid_, SIGCONT); }
    stopped(const stopped&) = delete;
    stopped& operator=(const stopped&) = delete;

  private:
    pid_t pid_;
};

} // namespace

const char* to_text(fault kind) {
    return std::ranges::find(every_kind, kind, &named_kind::kind)->name;
}

std::string names_of_faults() {
    std::string names;
    for (const auto& one : every_kind) names += (names.empty() ? "" : ", ") + std::string(one.name);
    return names;
}

std::vector<fault> parse_faults(const std::string& list) {
    std::vector<fault> kinds;
    if (list == "all") {
        for (const auto& one : every_kind)
            if (lacking_for(one.kind).empty()) kinds.push_back(one.kind);
        return kinds;
    }
    std::istringstream names{list};
    for (std::string name; std::getline(names, name, ',');) {
        const auto* const found = std::ranges::find(every_kind, name, &named_kind::name);
        if (found == every_kind.end()) throw std::invalid_argument("there is no fault '" + name + "'");
        if (const auto lacking = lacking_for(found->kind); !lacking.empty())
            throw std::invalid_argument("for the fault '" + name + "' this machine lacks " + lacking);
        kinds.push_back(found->kind);
    }
    return kinds;
}

needs needs_of(const std::vector<fault>& kinds) {
    const auto has = [&](fault kind) { return std::ranges::find(kinds, kind) != kinds.end(); };
    return {.postgres = has(fault::postgres)};
}

std::string lacking_for(fault /*kind*/) {
    return {};
}

fault_schedule::fault_schedule(std::vector<fault> kinds, std::uint64_t seed, int changes, processes& on,
                               recovery& after)
    : random_(seed), changes_(changes), on_(on), after_(after) {
    const auto wanted =
        std::max(times_each * kinds.size(), static_cast<std::size_t>(changes / changes_of_a_fault));
    while (!kinds.empty() && order_.size() < wanted) {
        std::ranges::shuffle(kinds, random_);
        order_.insert(order_.end(), kinds.begin(), kinds.end());
    }
}

int fault_schedule::due(std::size_t which) const {
    return static_cast<int>(static_cast<std::size_t>(changes_) * (which + 1) / (order_.size() + 1));
}

// The work does not outrun the faults: else a fast machine would be through before all have struck.
void fault_schedule::run(const work& meanwhile) {
    for (std::size_t i = 0; i < order_.size(); ++i) {
        meanwhile.limit(due(i + 1));
        while (meanwhile.made() < due(i) && !meanwhile.over()) std::this_thread::sleep_for(2ms);
        const auto until = std::chrono::steady_clock::now() + longest_wait_for_recovery;
        while (after_.pending() && !meanwhile.over() && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(2ms);
        if (meanwhile.over()) break;
        strike(order_[i]);
        ++struck_[order_[i]];
    }
    meanwhile.limit(std::numeric_limits<int>::max());
}

void fault_schedule::strike(fault kind) {
    after_.strike(to_text(kind));
    switch (kind) {
    case fault::worker:
        return kill_a_worker();
    case fault::master:
        return on_.restart_master();
    case fault::hub:
        return on_.restart_hub();
    case fault::postgres_connections:
        return cut_postgres();
    case fault::postgres:
        return on_.restart_postgres();
    case fault::redis:
        return on_.restart_redis();
    case fault::freeze:
        return freeze_something();
    case fault::nginx:
        return on_.reload_nginx();
    }
}

void fault_schedule::kill_a_worker() {
    const auto workers = on_.workers();
    if (!workers.empty())
        ::kill(workers[static_cast<std::size_t>(below(static_cast<int>(workers.size())))], SIGKILL);
}

void fault_schedule::cut_postgres() const {
    database{on_.superuser_url()}.cut_connections(on_.name());
}

void fault_schedule::freeze_something() {
    const auto workers = on_.workers();
    const int which = below(3);
    const std::chrono::milliseconds time{100 + below(1'900)};
    if (which == 0 && workers.empty()) return;
    const pid_t pid = which == 0 ? workers[static_cast<std::size_t>(below(static_cast<int>(workers.size())))]
                      : which == 1 ? on_.hub_pid()
                                   : on_.redis_pid();
    const stopped frozen{pid};
    std::this_thread::sleep_for(time);
}

} // namespace mana::checker
