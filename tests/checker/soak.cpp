#include "tests/checker/soak.hpp"

#include "tests/checker/growth.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto between_samples = 10s;
/// nginx's worker_shutdown_timeout is 5 s: then its old workers are gone.
constexpr auto longer_than_nginx_lingers = 5'500ms;
constexpr auto longest_until_quiet = 25s;
constexpr std::array may_strike{fault::nginx, fault::postgres_connections, fault::postgres, fault::redis,
                                fault::freeze};

enum class judged { not_at_all, count, descriptors, memory };

struct quantity {
    const char* name;
    judged how;
    double (*of)(const figures&);
};

double value_of(const std::optional<std::size_t>& count) {
    return static_cast<double>(count.value_or(0));
}
double value_of(std::size_t count) {
    return static_cast<double>(count);
}

constexpr std::array quantities{
    quantity{"workers, memory", judged::memory, [](const figures& f) { return value_of(f.workers.memory); }},
    quantity{"hub, memory", judged::memory, [](const figures& f) { return value_of(f.hub.memory); }},
    quantity{"nginx, memory", judged::memory, [](const figures& f) { return value_of(f.nginx.memory); }},
    quantity{"workers, descriptors", judged::descriptors,
             [](const figures& f) { return value_of(f.workers.descriptors); }},
    quantity{"hub, descriptors", judged::descriptors,
             [](const figures& f) { return value_of(f.hub.descriptors); }},
    quantity{"nginx, descriptors", judged::count,
             [](const figures& f) { return value_of(f.nginx.descriptors); }},
    quantity{"PostgreSQL, connections", judged::count,
             [](const figures& f) { return value_of(f.postgres_connections); }},
    quantity{"Redis, clients", judged::not_at_all,
             [](const figures& f) { return value_of(f.redis_clients); }},
    // Its stream grows until it has as many entries as it may have.
    quantity{"Redis, memory", judged::not_at_all, [](const figures& f) { return value_of(f.redis_memory); }}};

bool is_bytes(const quantity& one) {
    return std::string_view{one.name}.ends_with("memory");
}

std::size_t processes_of(const quantity& one, const figures& in) {
    const std::string_view name = one.name;
    return name.starts_with("workers") ? in.workers.processes
           : name.starts_with("nginx") ? in.nginx.processes
                                       : in.hub.processes;
}

std::string in_words(const quantity& one, double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), is_bytes(one) ? "%.2f MB" : "%.0f",
                  is_bytes(one) ? value / megabyte : value);
    return text.data();
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(text.size(), width), ' ');
    return text;
}

/// Takes figures now and then while others work.
class sampler {
  public:
    explicit sampler(const std::function<figures()>& take)
        : take_(take), thread_([this](const std::stop_token& ends) { work(ends); }) {}

    /// All so far.
    [[nodiscard]] std::vector<figures> taken() const {
        const std::lock_guard guard{lock_};
        return taken_;
    }

  private:
    void work(const std::stop_token& ends) {
        std::condition_variable_any asleep;
        std::mutex own;
        std::unique_lock guard{own};
        while (!asleep.wait_for(guard, ends, between_samples, [&] { return ends.stop_requested(); })) {
            auto now = take_();
            const std::lock_guard shared{lock_};
            taken_.push_back(now);
        }
    }

    const std::function<figures()>& take_;
    mutable std::mutex lock_; ///< guards what follows
    std::vector<figures> taken_;
    std::jthread thread_; ///< last: it uses all of the above
};

bool is_counted(const quantity& one) {
    return one.how == judged::count || one.how == judged::descriptors;
}

/// Whether all is there, and nothing was opened or closed between the two.
bool is_quiet(const figures& before, const figures& now) {
    return now.postgres_connections && now.redis_clients &&
           std::ranges::all_of(quantities, [&](const quantity& one) {
               return !is_counted(one) || one.of(before) == one.of(now);
           });
}

/// When the connections of the round are gone, nginx's old workers too, and what faults broke is there again;
/// at the latest after a while, with what there is then.
figures take_when_quiet(const std::function<figures()>& take) {
    const auto until = steady_clock::now() + longest_until_quiet;
    auto before = take();
    for (;;) {
        std::this_thread::sleep_for(longer_than_nginx_lingers); // nothing tells when a descriptor is closed
        auto now = take();
        if (is_quiet(before, now) || steady_clock::now() > until) return now;
        before = now;
    }
}

double most_of(judged how, const std::vector<double>& quiet, std::size_t processes) {
    if (how == judged::count) return most_of_count(quiet);
    if (how == judged::descriptors) return most_descriptors(quiet, processes);
    return most_memory(quiet.front(), processes);
}

bool tell(const quantity& one, const std::vector<figures>& quiet, const std::vector<figures>& samples,
          const std::function<void(const std::string&)>& say) {
    std::vector<double> values;
    for (const auto& each : quiet) values.push_back(one.of(each));
    const auto found = growth_of(values);
    double highest = *std::ranges::max_element(values);
    for (const auto& each : samples) highest = std::max(highest, one.of(each));
    const double most = most_of(one.how, values, processes_of(one, quiet.back()));
    const bool grew = one.how != judged::not_at_all && found.last > most;
    std::array<char, 48> slope{};
    std::snprintf(slope.data(), slope.size(), is_bytes(one) ? "%+.1f kB" : "%+.2f",
                  is_bytes(one) ? found.a_round / 1'024 : found.a_round);
    say("  " + padded(one.name, 24) + " first " + padded(in_words(one, found.first), 10) + " last " +
        padded(in_words(one, found.last), 10) + " highest " + padded(in_words(one, highest), 10) +
        " a round " + slope.data() + (grew ? "   GREW: at most " + in_words(one, most) : ""));
    return !grew;
}

} // namespace

void refuse_for_soak(const std::vector<fault>& kinds) {
    for (const auto kind : kinds)
        if (std::ranges::find(may_strike, kind) == may_strike.end())
            throw std::invalid_argument("no soak with the fault '" + std::string(to_text(kind)) +
                                        "': what it watches must live on, within reach");
}

bool soak(const soak_means& with) {
    const auto until = steady_clock::now() + with.how_long;
    const sampler meanwhile{with.take};
    std::vector<figures> quiet;
    for (std::size_t round = 0; round <= warming_rounds || steady_clock::now() < until; ++round) {
        if (!with.round(static_cast<int>(round))) return false;
        quiet.push_back(take_when_quiet(with.take));
    }
    with.say("soak       " + std::to_string(quiet.size()) +
             " rounds; when quiet, after the first and the last:");
    const auto samples = meanwhile.taken();
    bool all_is_well = true;
    for (const auto& one : quantities) all_is_well = tell(one, quiet, samples, with.say) && all_is_well;
    return all_is_well;
}

} // namespace mana::checker
