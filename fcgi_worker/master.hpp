// The prefork master: keeps the wanted number of worker processes alive, and ends them gracefully.
//
// SIGTERM, SIGINT: workers end after the request in flight; one that does not within the grace period is
// killed.
//
// SIGHUP: the same for the workers of now, while new ones serve (fresh memory and connections; the settings
// stay, since a process's environment does).
//
// A worker whose master dies gets SIGTERM from the kernel.
#pragma once

#include "shared/metrics/worker_counters.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <sys/types.h>
#include <vector>

namespace mana::fcgi_worker {

class master {
  public:
    static constexpr std::chrono::seconds grace{10};
    static constexpr std::chrono::seconds at_once{1}; // a worker that lived for less did no work
    static constexpr std::chrono::milliseconds first_pause{100};
    static constexpr std::chrono::seconds longest_pause{10};

    // It counts starts and living workers in `counted`, which outlives it. `work` is a worker's whole life:
    // it runs in the child, with SIGTERM and SIGINT blocked, and returns the status to exit with. Threads
    // must not run yet.
    master(unsigned workers, metrics::worker_counters& counted, std::function<int()> work);

    // Until SIGTERM or SIGINT, and the last worker has ended. A fork that fails is tried again every second.
    void run();

  private:
    using clock = std::chrono::steady_clock;

    // A place for one worker.
    struct slot {
        std::optional<pid_t> pid;
        clock::time_point started;
        clock::time_point start_at;        // the next one; the past means now
        std::chrono::milliseconds pause{}; // before the next one; 0 while workers live
    };

    // A worker that was told to end.
    struct leaver {
        pid_t pid;
        clock::time_point kill_at;
        bool killed = false;
    };

    void react(int signal);
    void start_due();
    void start(slot& place);
    void reap();
    void died(pid_t pid, int status);
    void retire_all();
    void kill_overdue();
    void show_living();
    [[nodiscard]] std::chrono::milliseconds until_next_event() const;
    [[noreturn]] void become_worker(pid_t master_pid);

    metrics::worker_counters& counted_;
    const std::function<int()> work_;
    std::vector<slot> slots_;
    std::vector<leaver> leavers_;
    bool stopping_ = false;
    bool recycle_again_ = false; // SIGHUP came while workers were leaving
};

} // namespace mana::fcgi_worker
