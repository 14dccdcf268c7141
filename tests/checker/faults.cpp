#include "tests/checker/faults.hpp"

#include "tests/checker/database.hpp"
#include "tests/checker/parts/redis_console.hpp"

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
constexpr std::array every_kind{named_kind{fault::worker, "worker"},
                                named_kind{fault::master, "master"},
                                named_kind{fault::hub, "hub"},
                                named_kind{fault::postgres_connections, "postgres-connections"},
                                named_kind{fault::postgres, "postgres"},
                                named_kind{fault::redis, "redis"},
                                named_kind{fault::redis_full, "redis-full"},
                                named_kind{fault::redis_demoted, "redis-demoted"},
                                named_kind{fault::freeze, "freeze"},
                                named_kind{fault::nginx, "nginx"},
                                named_kind{fault::cut, "cut"},
                                named_kind{fault::clock, "clock"},
                                named_kind{fault::disk, "disk"},
                                named_kind{fault::standby, "standby"},
                                named_kind{fault::before_commit, "before-commit"},
                                named_kind{fault::in_doubt, "in-doubt"},
                                named_kind{fault::after_commit, "after-commit"},
                                named_kind{fault::after_publish, "after-publish"},
                                named_kind{fault::in_answer, "in-answer"},
                                named_kind{fault::hub_after_publish, "hub-after-publish"}};

constexpr int times_each = 2;
/// When the work has come to its limit, nobody may be left to push.
constexpr auto longest_wait_for_recovery = 500ms;
constexpr int changes_of_a_fault = 1'000;
constexpr auto time_of_tearing = 300ms;
constexpr auto longest_way_to_a_point = 3s; ///< while there is work; a sweep begins every second
constexpr auto one_step = 1h;               ///< of the clock

/// Where on the way of a push a fault of that kind kills a worker; nothing for other kinds.
std::optional<crash_point> point_of(fault kind) {
    switch (kind) {
    case fault::before_commit:
        return crash_point::before_commit;
    case fault::in_doubt:
        return crash_point::in_doubt;
    case fault::after_commit:
    case fault::hub_after_publish: // whose sweep needs a push that nobody was told of
        return crash_point::after_commit;
    case fault::after_publish:
        return crash_point::after_publish;
    case fault::in_answer:
        return crash_point::in_answer;
    default: // those that strike at once
        return std::nullopt;
    }
}

/// Stops processes, and lets them go on however the stop ends.
class stopped {
  public:
    stopped() = default;
    ~stopped() {
        for (const auto pid : pids_) ::kill(pid, SIGCONT);
    }
    stopped(const stopped&) = delete;
    stopped& operator=(const stopped&) = delete;

    void add(pid_t pid) {
        pids_.push_back(pid);
        ::kill(pid, SIGSTOP);
    }

  private:
    std::vector<pid_t> pids_;
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
    // Another hub over the same PostgreSQL might be the one to tell what nobody had told.
    const bool hub_alone = has(fault::hub_after_publish);
    return {.postgres = hub_alone || has(fault::postgres) || has(fault::freeze) || has(fault::cut) ||
                        has(fault::clock) || has(fault::disk) || has(fault::standby),
            .clock = has(fault::clock),
            .disk = has(fault::disk),
            .network = has(fault::cut),
            .crash_points = std::ranges::any_of(kinds, [](fault kind) { return point_of(kind).has_value(); }),
            .crash_points_of_hub = hub_alone};
}

std::string lacking_for(fault kind) {
    if (kind == fault::cut) return lacking_for_network();
    if (kind == fault::clock && stepping_clock::library().empty())
        return "the library of the stepping clock beside this program";
    if (kind == fault::disk) return small_disk::lacking();
    if (point_of(kind) && crash_points::library().empty())
        return "the library of crash points beside this program";
    return {};
}

fault_schedule::fault_schedule(std::vector<fault> kinds, std::uint64_t seed, int changes, processes& on,
                               recovery& after, outage_log& outages)
    : random_(seed), changes_(changes), on_(on), after_(after), outages_(outages) {
    const auto wanted =
        std::max(times_each * kinds.size(), static_cast<std::size_t>(changes / changes_of_a_fault));
    while (!kinds.empty() && order_.size() < wanted) {
        std::ranges::shuffle(kinds, random_);
        order_.insert(order_.end(), kinds.begin(), kinds.end());
    }
    // The clock is ahead from the start. A time-out of PostgreSQL that began before it is set back ends an
    // hour late: a transaction that was cut off before would hold its locks for as long.
    const auto first_of_clock = std::ranges::find(order_, fault::clock);
    if (first_of_clock != order_.end()) std::rotate(order_.begin(), first_of_clock, first_of_clock + 1);
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
        struck_[order_[i]] += strike(order_[i]) ? 1 : 0;
    }
    meanwhile.limit(std::numeric_limits<int>::max());
}

bool fault_schedule::strike(fault kind) {
    if (point_of(kind)) return kill_at_point(kind);
    after_.strike(to_text(kind));
    const outage_log::entry until_it_is_back{outages_, to_text(kind)};
    strike_at_once(kind);
    return true;
}

bool fault_schedule::kill_at_point(fault kind) {
    const auto killed = on_.points().strike(*point_of(kind), longest_way_to_a_point);
    if (!killed) return false;
    after_.strike(to_text(kind), *killed);
    return kind != fault::hub_after_publish || kill_hub_at_point();
}

bool fault_schedule::kill_hub_at_point() {
    const outage_log::entry until_it_is_back{outages_, to_text(fault::hub_after_publish)};
    const auto killed = on_.points().strike(crash_point::hub_after_publish, longest_way_to_a_point);
    if (!killed) return false;
    after_.strike(to_text(fault::hub_after_publish), *killed);
    on_.restart_hub();
    return true;
}

void fault_schedule::strike_at_once(fault kind) {
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
    case fault::redis_full:
        return fill_redis();
    case fault::redis_demoted:
        return demote_redis();
    case fault::freeze:
        return freeze_something();
    case fault::nginx:
        return on_.reload_nginx();
    case fault::cut:
        return cut_network();
    case fault::clock:
        return step_the_clock_back();
    case fault::disk:
        return fill_the_disk();
    case fault::standby:
        return miss_a_standby();
    case fault::before_commit:
    case fault::in_doubt:
    case fault::after_commit:
    case fault::after_publish:
    case fault::in_answer:
    case fault::hub_after_publish:
        return; // at points of a push
    }
}

std::optional<pid_t> fault_schedule::any_worker() {
    const auto workers = on_.workers();
    if (workers.empty()) return std::nullopt;
    return workers[static_cast<std::size_t>(below(static_cast<int>(workers.size())))];
}

void fault_schedule::kill_a_worker() {
    if (const auto worker = any_worker()) ::kill(*worker, SIGKILL);
}

void fault_schedule::cut_postgres() const {
    database{on_.superuser_url()}.cut_connections(on_.name());
}

// PostgreSQL with all who work for it: the first of them begins no new one then.
void fault_schedule::freeze_something() {
    const std::chrono::milliseconds time{100 + below(1'900)};
    {
        stopped frozen;
        switch (below(4)) {
        case 0:
            if (const auto worker = any_worker()) frozen.add(*worker);
            break;
        case 1:
            frozen.add(on_.hub_pid());
            break;
        case 2:
            frozen.add(on_.redis_pid());
            break;
        default:
            frozen.add(on_.postgres_pid());
            for (const auto pid : on_.children_of_postgres()) frozen.add(pid);
        }
        std::this_thread::sleep_for(time);
    }
    after_.back();
}

// Most are shorter than what anybody waits for, some longer. After some of them the connections are gone, as
// by a firewall that was started anew; after the others they go on where packets are sent again.
void fault_schedule::cut_network() {
    const auto which = static_cast<processes::cut_off>(below(3));
    const auto lost = static_cast<lost_packets>(below(3));
    const bool is_short = below(4) != 0;
    const std::chrono::milliseconds time{is_short ? 300 + below(1'700) : 2'000 + below(6'000)};
    const bool torn = below(3) == 0;
    {
        const auto way = on_.cut_off_from(which, lost);
        std::this_thread::sleep_for(time);
        if (torn) {
            way->tear();
            std::this_thread::sleep_for(time_of_tearing);
        }
    }
    after_.back();
}

// It is an hour ahead at the beginning. Later it has to get there first, as by a correction that was none.
void fault_schedule::step_the_clock_back() {
    auto& hands = on_.hands_of_clock();
    const std::chrono::milliseconds time_ahead{100 + below(900)};
    if (hands.ahead() == 0s) {
        hands.set_ahead(one_step);
        std::this_thread::sleep_for(time_ahead);
    }
    hands.set_ahead(0s);
}

void fault_schedule::end_segment_of_postgres() const {
    try {
        database{on_.superuser_url()}.end_segment();
    } catch (const std::runtime_error&) { // it ends before it answers
    }
}

void fault_schedule::tell_redis(const std::vector<std::string>& words) const {
    if (!ask_redis(on_.redis_socket(), words)) throw std::runtime_error("Redis refuses " + words.front());
}

// It still tells channels, and takes nothing into its stream.
void fault_schedule::fill_redis() {
    const std::chrono::milliseconds time{500 + below(4'500)};
    tell_redis({"CONFIG", "SET", "maxmemory", "1"});
    std::this_thread::sleep_for(time);
    tell_redis({"CONFIG", "SET", "maxmemory", "0"});
    after_.back();
}

// It keeps its connections, and refuses what writes. Its new master is not there, as in the midst of a
// failover.
void fault_schedule::demote_redis() {
    const std::chrono::milliseconds time{500 + below(4'500)};
    tell_redis({"REPLICAOF", "127.0.0.1", "1"});
    std::this_thread::sleep_for(time);
    tell_redis({"REPLICAOF", "NO", "ONE"});
    after_.back();
}

// Some give up waiting for it meanwhile: what they pushed is stored, and they push it again.
void fault_schedule::miss_a_standby() {
    const std::chrono::milliseconds time{500 + below(11'500)};
    database{on_.superuser_url()}.await_a_standby(true);
    std::this_thread::sleep_for(time);
    database{on_.superuser_url()}.await_a_standby(false);
    after_.back();
}

// Half of the times PostgreSQL needs space for its own log at once, without which it ends.
void fault_schedule::fill_the_disk() {
    const std::chrono::milliseconds time{1'000 + below(3'000)};
    const bool at_the_end_of_a_segment = below(2) == 0;
    on_.fill_disk();
    if (at_the_end_of_a_segment) end_segment_of_postgres();
    std::this_thread::sleep_for(time);
    on_.free_disk();
    after_.back();
}

} // namespace mana::checker
