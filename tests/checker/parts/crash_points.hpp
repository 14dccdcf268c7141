// Programs of the server that die at chosen points of their work, not at any: a library that is loaded before
// their own (crash_point_library.cpp) has them do it.
#pragma once

#include "tests/checker/parts/crash_word.hpp"
#include "tests/checker/parts/program.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace mana::checker {

/// Not thread-safe.
class crash_points {
  public:
    /// `file` is made. Throws std::system_error where it can't be.
    explicit crash_points(std::string file);

    /// One of the programs dies by SIGKILL there, and when it did; nothing where none came to that point
    /// within `patience`: then none dies.
    std::optional<crash_word::time> strike(crash_point at, std::chrono::milliseconds patience);

    /// For LD_PRELOAD. Beside the checker's own program; empty where it is not.
    [[nodiscard]] static std::string library();
    /// What else a program needs to be struck.
    [[nodiscard]] program::settings settings() const;

  private:
    const std::string file_;
    crash_word word_;
};

} // namespace mana::checker
