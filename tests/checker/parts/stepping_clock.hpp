// The wall clock of the server's host, as far as its programs can tell: a library that is loaded before their
// own (stepping_clock_library.cpp) shows it ahead of this host's, and steps it back. Monotonic clocks go on
// as they are.
//
// Not libfaketime: it reads its file by way of stdio and locks. PostgreSQL looks at the clock in the handler
// of its time-outs, and one that interrupted such a look waited for itself for ever, with the locks of a
// push.
#pragma once

#include "tests/checker/parts/program.hpp"
#include "tests/checker/parts/shared_word.hpp"
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

    /// What stepping_clock can't do without, beside the checker's own program; empty where it is not.
    [[nodiscard]] static std::string library();
    /// For LD_PRELOAD: that library where each user can read it.
    [[nodiscard]] std::string readable_library() const;
    /// What else a program needs to go by this clock.
    [[nodiscard]] program::settings settings() const;

  private:
    end_to_end::scratch_folder folder_;
    server_clock& known_;
    shared_word word_;
    std::chrono::seconds ahead_{};
};

} // namespace mana::checker
