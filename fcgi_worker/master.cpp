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

master::master(unsigned workers, std::chrono::milliseconds patience, metrics::worker_counters& counted,
               runtime::service_manager& manager, std::function<int(worker_seat&)> work)
    : patience_{patience}, counted_{counted}, manager_{manager}, work_{std::move(work)},
      board_{std::size_t{2} * workers}, slots_{workers} {}

void master::run() {
    const runtime::blocked_signals signals{SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    while (!stopping_ || !leavers_.empty()) {
        start_due();
        tell_manager();
        if (const auto signal = signals.wait_for_signal(until_next_event())) react(*signal);
        kill_overdue();
        kill_stuck();
    }
}

void master::react(int signal) {
    switch (signal) {
    case SIGCHLD:
        reap();
        return;
    case SIGHUP:
        if (!stopping_) recycle();
        return;
    default:
        if (!stopping_) stop(signal);
    }
}

void master::recycle() {
    manager_.reloading();
    ready_untold_ = true;
    // One generation leaves at a time, so that a storm of SIGHUPs makes no storm of processes.
    if (!leavers_.empty()) {
        recycle_again_ = true;
        return;
    }
    log::info("recycling_workers");
    retire_all();
}

void master::stop(int signal) {
    log::info("stopping", {{"signal", signal == SIGTERM ? "TERM" : "INT"}});
    manager_.stopping();
    stopping_ = true;
    retire_all();
}

void master::start_due() {
    if (stopping_) return;
    const auto now = clock::now();
    for (auto& place : slots_)
        if (!place.taken && place.start_at <= now) start(place);
}

void master::start(slot& place) {
    worker_seat& seat = free_seat();
    seat.prepare(clock::now());
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) become_worker(parent, seat);
    const auto now = clock::now();
    if (pid < 0) {
        const int failure = errno;
        log::error("fork_failed", {{"reason", std::generic_category().message(failure)}});
        place.start_at = now + 1s;
        return;
    }
    place.taken = child{pid, &seat, std::nullopt, {}};
    place.started = now;
    counted_.worker_starts.add();
    show_living();
    if (place.pause == 0ms) log::info("worker_started", {{"worker", pid}});
}

// There are two for each place: no generation is started while the one before the last still leaves.
worker_seat& master::free_seat() const {
    const auto is_taken = [this](const worker_seat& seat) {
        return std::ranges::any_of(slots_,
                                   [&](const slot& s) { return s.taken && s.taken->seat == &seat; }) ||
               std::ranges::any_of(leavers_, [&](const leaver& l) { return l.who.seat == &seat; });
    };
    return *std::ranges::find_if_not(board_.items(), is_taken);
}

void master::become_worker(pid_t master_pid, worker_seat& seat) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != master_pid) std::_Exit(0); // it died before prctl, so no signal would come
    // TERM and INT stay blocked, the worker reads them where it can; a terminal's HUP is meant for the
    // master.
    std::signal(SIGHUP, SIG_IGN);
    runtime::service_manager::leave_to_parent();
    const int status = work_(seat);
    // Not exit(): what the master has open, its socket's file above all, is not a worker's to clean up.
    std::_Exit(status);
}

void master::reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) died(pid, status);
    show_living();
    if (stopping_ || !leavers_.empty() || !std::exchange(recycle_again_, false)) return;
    recycle();
}

void master::died(pid_t pid, int status) {
    const auto left = std::ranges::find(leavers_, pid, [](const leaver& late) { return late.who.pid; });
    if (left != leavers_.end()) {
        log::info("worker_ended", {{"worker", pid}, {"how", ending(status)}});
        leavers_.erase(left);
        return;
    }
    const auto place = std::ranges::find_if(
        slots_, [pid](const slot& taken) { return taken.taken && taken.taken->pid == pid; });
    if (place != slots_.end()) free(*place, status);
}

// The place of one that ended unasked.
void master::free(slot& place, int status) {
    const child was = *place.taken;
    place.taken.reset();
    const auto now = clock::now();
    if (was.killed || (WIFEXITED(status) && WEXITSTATUS(status) == renewed)) {
        if (!was.killed) counted_.workers_renewed.add();
        place.pause = 0ms;
    } else if (was.seat->serves() || now - place.started >= at_once) {
        place.pause = 0ms;
        counted_.workers_died.add();
        log::warn("worker_died", {{"worker", was.pid}, {"how", ending(status)}});
    } else {
        counted_.workers_died.add();
        if (place.pause == 0ms)
            log::error(
                "worker_died_at_once",
                {{"worker", was.pid}, {"how", ending(status)}, {"next", "restarted with growing pauses"}});
        place.pause = std::clamp<std::chrono::milliseconds>(place.pause * 2, first_pause, longest_pause);
    }
    place.start_at = now + place.pause;
}

// The places are free at once: in a recycling new workers take requests while the old ones finish theirs.
void master::retire_all() {
    const auto kill_at = clock::now() + grace;
    for (auto& place : slots_) {
        if (place.taken) {
            ::kill(place.taken->pid, SIGTERM);
            leavers_.push_back({*place.taken, kill_at});
        }
        place = slot{};
    }
}

void master::kill_overdue() {
    const auto now = clock::now();
    for (auto& late : leavers_) {
        if (late.who.killed || late.kill_at > now) continue;
        log::warn("worker_killed",
                  {{"worker", late.who.pid}, {"reason", "still busy after the grace period"}});
        ::kill(late.who.pid, SIGKILL);
        late.who.killed = true;
    }
}

void master::kill_stuck() {
    const auto now = clock::now();
    for (auto& place : slots_)
        if (place.taken) kill_if_stuck(*place.taken, now);
}

// Seen twice: after a time in which all of us stood still (a frozen group, a host that was paused), a worker
// has a moment to go on.
void master::kill_if_stuck(child& who, clock::time_point now) {
    const auto since = who.seat->busy_since();
    if (who.killed || !since || now - *since < patience_ + stuck_grace) return;
    if (who.doubted != since) {
        who.doubted = since;
        who.doubted_at = now;
        return;
    }
    if (now - who.doubted_at < look_interval) return;
    const auto busy = std::chrono::duration_cast<std::chrono::milliseconds>(now - *since);
    log::error("worker_killed", {{"worker", who.pid}, {"reason", "stuck"}, {"busy_ms", busy.count()}});
    counted_.workers_stuck.add();
    ::kill(who.pid, SIGKILL);
    who.killed = true;
}

void master::show_living() {
    const auto in_place =
        std::ranges::count_if(slots_, [](const slot& place) { return place.taken.has_value(); });
    counted_.workers.set(static_cast<std::uint64_t>(in_place) + leavers_.size());
}

bool master::all_serve() const {
    return std::ranges::all_of(slots_,
                               [](const slot& place) { return place.taken && place.taken->seat->serves(); });
}

std::string master::in_one_line() const {
    const auto serving = std::ranges::count_if(
        slots_, [](const slot& place) { return place.taken && place.taken->seat->serves(); });
    auto line = std::to_string(serving) + " of " + std::to_string(slots_.size()) + " workers serve";
    if (!leavers_.empty()) line += ", " + std::to_string(leavers_.size()) + " more finish their requests";
    return line;
}

// In the loop that looks after the workers and nowhere else: if it hangs, the signs of life end.
void master::tell_manager() {
    auto line = in_one_line();
    if (ready_untold_ && !stopping_ && !recycle_again_ && all_serve()) {
        manager_.ready(line);
        ready_untold_ = false;
    } else if (line != told_) {
        manager_.status(line);
    }
    told_ = std::move(line);
    const auto now = clock::now();
    if (now >= manager_.next_sign_of_life()) manager_.alive(now);
}

std::chrono::milliseconds master::until_next_event() const {
    constexpr auto while_workers_start = 10ms; // they say so in their seats, and nobody is woken by that
    const auto now = clock::now();
    const bool some_start = std::ranges::any_of(
        slots_, [](const slot& place) { return place.taken && !place.taken->seat->serves(); });
    auto next =
        std::min(now + (some_start ? while_workers_start : look_interval), manager_.next_sign_of_life());
    for (const auto& place : slots_)
        if (!stopping_ && !place.taken) next = std::min(next, place.start_at);
    for (const auto& late : leavers_)
        if (!late.who.killed) next = std::min(next, late.kill_at);
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(next - now), 0ms);
}

} // namespace mana::fcgi_worker
