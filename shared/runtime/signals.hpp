// Signals: a stop flag for loops that block in accept(), and a queue of blocked signals for the prefork
// master.
#pragma once

#include <chrono>
#include <csignal>
#include <initializer_list>
#include <optional>

namespace mana::runtime {

// A peer that has gone shows as EPIPE on write, never as the death of the process. Survives fork(), not
// exec().
void ignore_broken_pipes();

// Called inside the signal handler: may only do what signal-safety(7) allows.
using stop_hook = void (*)();

// From now on each of these signals sets the stop flag and calls `hook`. The handlers are installed without
// SA_RESTART, so that a blocked accept(), read() or poll() returns with EINTR instead of sleeping on; libfcgi
// leaves a signal alone that has a handler, so the worker passes FCGX_ShutdownPending as its hook.
// A signal that lands just before a blocking call is seen only by the next check of the flag: whoever wants
// the process to end signals again. Throws std::system_error. Process-wide; call before threads start.
void install_stop_handlers(std::initializer_list<int> signals, stop_hook hook = nullptr);

// Whether a signal of install_stop_handlers has arrived; which one came last (0: none). Any thread.
[[nodiscard]] bool stop_requested() noexcept;
[[nodiscard]] int stop_signal() noexcept;

// Holds the given signals back from the calling thread, so that they arrive only through wait(). For the
// master: TERM, INT, HUP and CHLD. fork() inherits the block: a child calls restore() before it installs
// handlers. The destructor restores the mask as well. Use on the thread that made it. Throws
// std::system_error.
class blocked_signals {
  public:
    explicit blocked_signals(std::initializer_list<int> signals);
    blocked_signals(const blocked_signals&) = delete;
    blocked_signals& operator=(const blocked_signals&) = delete;
    blocked_signals(blocked_signals&&) = delete;
    blocked_signals& operator=(blocked_signals&&) = delete;
    ~blocked_signals();

    // The next of the blocked signals, or nothing after `timeout`. Several of one kind count as one: after
    // SIGCHLD, wait for children until none is left.
    [[nodiscard]] std::optional<int> wait_for_signal(std::chrono::milliseconds timeout) const;

    // Puts the mask back as it was before. Idempotent.
    void restore() noexcept;

  private:
    sigset_t blocked_{};
    sigset_t before_{};
    bool active_ = false;
};

} // namespace mana::runtime
