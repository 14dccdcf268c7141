// The wall clock of the server's host, as far as its programs can tell: libfaketime sets it ahead of this
// host's, and steps it back. Monotonic clocks go on as they are.
//
// A signal handler that interrupts a wait is shown this host's clock all the same: while it is ahead,
// PostgreSQL's lock_timeout and statement_timeout don't end a wait.
#pragma once

#include "tests/checker/parts/program.hpp"
#include "tests/checker/server_clock.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <chrono>
#include <string>

namespace mana::checker {

/// Not thread-safe.
class stepping_clock {
  public:
    /// Set ahead by that much from the start. Each step is noted in `known`, which outlives it. Throws where
    /// a file can't be written.
    stepping_clock(std::chrono::seconds ahead, server_clock& known);

    void set_ahead(std::chrono::seconds ahead);
    [[nodiscard]] std::chrono::seconds ahead() const { return ahead_; }

    /// For LD_PRELOAD, from the user on who the program runs as: for one whose signal handlers look at the
    /// clock, or one that has threads. Empty where it is not installed.
    enum class looks { in_signal_handlers, in_threads };
    [[nodiscard]] static std::string library(looks of_program);
    /// What else a program needs to go by this clock.
    [[nodiscard]] program::settings settings() const;

  private:
    end_to_end::scratch_folder folder_;
    server_clock& known_;
    std::chrono::seconds ahead_{};
};

} // namespace mana::checker
