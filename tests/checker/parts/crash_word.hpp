// Where a program of the server is to die next, or when one did: one word of memory that the checker and
// those programs share.
#pragma once

#include "tests/checker/parts/shared_word.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace mana::checker {

/// On the way of a push that changes something, in a worker; in_answer of any request there; the last one in
/// the hub's sweep.
enum class crash_point : std::int64_t {
    before_commit = 1, ///< its rows are sent, under its locks; COMMIT is not
    in_doubt,          ///< COMMIT is sent; none of its transaction's results is read
    after_commit,      ///< COMMIT's own result is read; Redis is not told
    after_publish,     ///< Redis has taken what it was told; nothing of the answer is written
    in_answer,         ///< a part of a large answer is sent, and the rest is not
    hub_after_publish, ///< Redis has taken what nobody had told it; how far it was told is not recorded
};

/// Thread-safe, and safe among processes.
class crash_word {
  public:
    using time = std::chrono::steady_clock::time_point;

    /// `file` has the size of a word at least, and zeros where nothing is armed. Throws std::system_error.
    explicit crash_word(const std::string& file);

    void arm(crash_point point);
    [[nodiscard]] bool is_taken() const;
    /// From now on nobody takes it. Nothing where nobody did before, else when.
    std::optional<time> disarm();

    /// For who has come to a point: true for one of all, if it is armed.
    [[nodiscard]] bool take(crash_point point);

  private:
    // 0: nothing; a crash_point: armed; beyond them: taken, at so many nanoseconds of the steady clock,
    // which all processes of a host have in common.
    shared_word shared_;
};

} // namespace mana::checker
