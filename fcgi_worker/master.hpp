// The prefork master: keeps the wanted number of worker processes alive, and ends them gracefully.
//
// SIGTERM, SIGINT: workers end after the request in flight; one that does not within the grace period is
// killed.
//
// SIGHUP: the same for the workers of now, while new ones serve (fresh memory and connections; the settings
// stay, since a process's environment does).
//
// A worker that ends with the status `renewed` has served long enough: it is replaced at once, and nobody
// need know. One that is busy for too long is killed and replaced.
//
// A worker whose master dies gets SIGTERM from the kernel.
#pragma once

#include "fcgi_worker/worker_board.hpp"
#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/service_manager.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace mana::fcgi_worker {

class master {
  public:
    static constexpr int renewed = 3; // status with which a worker ends to be replaced
    static constexpr std::chrono::seconds grace{10};
    static constexpr std::chrono::seconds stuck_grace{6}; // beyond the deadline that a worker keeps by itself
    static constexpr std::chrono::seconds look_interval{1}; // how often the workers are looked at
    static constexpr std::chrono::seconds at_once{1};       // a worker that lived for less did no work
    static constexpr std::chrono::milliseconds first_pause{100};
    static constexpr std::chrono::seconds longest_pause{10};

    // It counts starts, ends and living workers in `counted`, and tells `manager` how it goes; both outlive
    // it. A worker that says in its seat that it is busy with one thing for `patience` and stuck_grace is
    // stuck. `work` is a worker's whole life: it runs in the child, with SIGTERM and SIGINT blocked, and
    // returns the status to exit with. Threads must not run yet. Throws std::system_error.
    master(unsigned workers, std::chrono::milliseconds patience, metrics::worker_counters& counted,
           runtime::service_manager& manager, std::function<int(worker_seat&)> work);

    // Until SIGTERM or SIGINT, and the last worker has ended. A fork that fails is tried again every second.
    void run();

  private:
    using clock = std::chrono::steady_clock;

    struct child {
        pid_t pid;
        worker_seat* seat; // its own until it is reaped
        // Since when it is busy with what took too long, and when that was first seen.
        std::optional<clock::time_point> doubted;
        clock::time_point doubted_at;
        bool killed = false;
    };

    // A place for one worker.
    struct slot {
        std::optional<child> taken;
        clock::time_point started;
        clock::time_point start_at;        // the next one; the past means now
        std::chrono::milliseconds pause{}; // before the next one; 0 while workers live
    };

    // A worker that was told to end.
    struct leaver {
        child who;
        clock::time_point kill_at;
    };

    void react(int signal);
    void start_due();
    void start(slot& place);
    void reap();
    void died(pid_t pid, int status);
    void free(slot& place, int status);
    void retire_all();
    void recycle();
    void stop(int signal);
    void kill_overdue();
    void kill_stuck();
    void kill_if_stuck(child& who, clock::time_point now);
    void show_living();
    void tell_manager();
    [[nodiscard]] worker_seat& free_seat() const;
    [[nodiscard]] bool all_serve() const;
    [[nodiscard]] std::string in_one_line() const;
    [[nodiscard]] std::chrono::milliseconds until_next_event() const;
    [[noreturn]] void become_worker(pid_t master_pid, worker_seat& seat);

    const std::chrono::milliseconds patience_;
    metrics::worker_counters& counted_;
    runtime::service_manager& manager_;
    const std::function<int(worker_seat&)> work_;
    const worker_board board_;
    std::vector<slot> slots_;
    std::vector<leaver> leavers_;
    bool stopping_ = false;
    bool recycle_again_ = false; // SIGHUP came while workers were leaving
    bool ready_untold_ = true;   // the manager waits to hear that all workers serve
    std::string told_;           // the last line of status
};

} // namespace mana::fcgi_worker
