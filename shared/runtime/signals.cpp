#include "shared/runtime/signals.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <pthread.h>
#include <system_error>

namespace mana::runtime {
namespace {

// Written by handlers, read by loops: the only kind of object that C++ lets a handler share besides lock-free
// atomics, which the hook is.
volatile std::sig_atomic_t last_signal = 0; // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<stop_hook> hook_of_stop{nullptr};
static_assert(std::atomic<stop_hook>::is_always_lock_free);

extern "C" void note_stop(int signal) {
    const int saved = errno; // the interrupted code may be about to read it
    last_signal = signal;
    if (const stop_hook hook = hook_of_stop.load()) hook();
    errno = saved;
}

void set_action(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = 0;
    sigemptyset(&action.sa_mask);
    if (sigaction(signal, &action, nullptr) != 0)
        throw std::system_error{errno, std::generic_category(), "sigaction"};
}

timespec to_timespec(std::chrono::nanoseconds left) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    timespec out{};
    out.tv_sec = seconds.count();
    out.tv_nsec = (left - seconds).count();
    return out;
}

} // namespace

void ignore_broken_pipes() {
    set_action(SIGPIPE, SIG_IGN);
}

void install_stop_handlers(std::initializer_list<int> signals, stop_hook hook) {
    hook_of_stop = hook;
    for (const int signal : signals) set_action(signal, note_stop);
}

bool stop_requested() noexcept {
    return last_signal != 0;
}

int stop_signal() noexcept {
    return last_signal;
}

blocked_signals::blocked_signals(std::initializer_list<int> signals) {
    sigemptyset(&blocked_);
    for (const int signal : signals) sigaddset(&blocked_, signal);
    const int failure = pthread_sigmask(SIG_BLOCK, &blocked_, &before_);
    if (failure != 0) throw std::system_error{failure, std::generic_category(), "pthread_sigmask"};
    active_ = true;
}

blocked_signals::~blocked_signals() {
    restore();
}

std::optional<int> blocked_signals::wait_for_signal(std::chrono::milliseconds timeout) const {
    using clock = std::chrono::steady_clock;
    const auto deadline = clock::now() + timeout;
    while (true) {
        const auto left =
            std::max<std::chrono::nanoseconds>(deadline - clock::now(), std::chrono::nanoseconds{0});
        const timespec wait = to_timespec(left);
        const int signal = sigtimedwait(&blocked_, nullptr, &wait);
        if (signal > 0) return signal;
        if (errno == EAGAIN) return std::nullopt;
        // EINTR: a signal outside the set was handled; what is left of the time-out still counts.
        if (errno != EINTR) throw std::system_error{errno, std::generic_category(), "sigtimedwait"};
    }
}

void blocked_signals::restore() noexcept {
    if (!active_) return;
    active_ = false;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

} // namespace mana::runtime
