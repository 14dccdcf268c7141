#include "fcgi_worker/master.hpp"

#include "shared/runtime/log.hpp"
#include "shared/runtime/signals.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace mana::fcgi_worker {
namespace {

namespace log = runtime::log;
using namespace std::chrono_literals;

std::string ending(int status) {
    if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
    return "status " + std::to_string(WEXITSTATUS(status));
}

} // namespace

master::master(unsigned workers, metrics::worker_counters& counted, std::function<int()> work)
    : counted_{counted}, work_{std::move(work)}, slots_{workers} {}

void master::run() {
    const runtime::blocked_signals signals{SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    while (!stopping_ || !leavers_.empty()) {
        start_due();
        if (const auto signal = signals.wait_for_signal(until_next_event())) react(*signal);
        kill_overdue();
    }
}

void master::react(int signal) {
    switch (signal) {
    case SIGCHLD:
        reap();
        return;
    case SIGHUP:
        if (stopping_) return;
        // One generation leaves at a time, so that a storm of SIGHUPs makes no storm of processes.
        if (!leavers_.empty()) {
            recycle_again_ = true;
            return;
        }
        log::info("recycling_workers");
        retire_all();
        return;
    default:
        if (stopping_) return;
        log::info("stopping", {{"signal", signal == SIGTERM ? "TERM" : "INT"}});
        stopping_ = true;
        retire_all();
    }
}

void master::start_due() {
    if (stopping_) return;
    const auto now = clock::now();
    for (auto& place : slots_)
        if (!place.pid && place.start_at <= now) start(place);
}

void master::start(slot& place) {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become_worker(parent);
    const auto now = clock::now();
    if (pid < 0) {
        const int failure = errno;
        log::error("fork_failed", {{"reason", std::generic_category().message(failure)}});
        place.start_at = now + 1s;
        return;
    }
    place.pid = pid;
    place.started = now;
    counted_.worker_starts.add();
    show_living();
    if (place.pause == 0ms) log::info("worker_started", {{"worker", pid}});
}

void master::become_worker(pid_t master_pid) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != master_pid) std::_Exit(0); // it died before prctl, so no signal would come
    // TERM and INT stay blocked, the worker reads them where it can; a terminal's HUP is meant for the
    // master.
    std::signal(SIGHUP, SIG_IGN);
    const int status = work_();
    // Not exit(): what the master has open, its socket's file above all, is not a worker's to clean up.
    std::_Exit(status);
}

void master::reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) died(pid, status);
    show_living();
    if (leavers_.empty() && std::exchange(recycle_again_, false)) react(SIGHUP);
}

void master::died(pid_t pid, int status) {
    const auto left = std::ranges::find(leavers_, pid, &leaver::pid);
    if (left != leavers_.end()) {
        log::info("worker_ended", {{"worker", pid}, {"how", ending(status)}});
        leavers_.erase(left);
        return;
    }
    const auto place = std::ranges::find(slots_, std::optional{pid}, &slot::pid);
    if (place == slots_.end()) return;
    place->pid.reset();
    const auto now = clock::now();
    if (now - place->started >= at_once) {
        place->pause = 0ms;
        log::warn("worker_died", {{"worker", pid}, {"how", ending(status)}});
    } else {
        if (place->pause == 0ms)
            log::error("worker_died_at_once",
                       {{"worker", pid}, {"how", ending(status)}, {"next", "restarted with growing pauses"}});
        place->pause = std::clamp<std::chrono::milliseconds>(place->pause * 2, first_pause, longest_pause);
    }
    place->start_at = now + place->pause;
}

// The places are free at once: in a recycling new workers take requests while the old ones finish theirs.
void master::retire_all() {
    const auto kill_at = clock::now() + grace;
    for (auto& place : slots_) {
        if (place.pid) {
            ::kill(*place.pid, SIGTERM);
            leavers_.push_back({*place.pid, kill_at});
        }
        place = slot{};
    }
}

void master::kill_overdue() {
    const auto now = clock::now();
    for (auto& late : leavers_) {
        if (late.killed || late.kill_at > now) continue;
        log::warn("worker_killed", {{"worker", late.pid}, {"reason", "still busy after the grace period"}});
        ::kill(late.pid, SIGKILL);
        late.killed = true;
    }
}

void master::show_living() {
    const auto in_place =
        std::ranges::count_if(slots_, [](const slot& place) { return place.pid.has_value(); });
    counted_.workers.set(static_cast<std::uint64_t>(in_place) + leavers_.size());
}

std::chrono::milliseconds master::until_next_event() const {
    auto next = clock::now() + 1h;
    for (const auto& place : slots_)
        if (!stopping_ && !place.pid) next = std::min(next, place.start_at);
    for (const auto& late : leavers_)
        if (!late.killed) next = std::min(next, late.kill_at);
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(next - clock::now()), 0ms);
}

} // namespace mana::fcgi_worker
