// What the server's clock may have shown while a request was under way, with all steps that were made to it.
// Pure.
#pragma once

#include "shared/sync/time.hpp"
#include "tests/checker/claims.hpp"

#include <chrono>
#include <vector>

namespace mana::checker {

/// Not thread-safe: who makes the steps notes them, and when all is quiet it is asked.
class server_clock {
  public:
    /// It goes with this host's, `slack` apart at most.
    explicit server_clock(std::chrono::milliseconds slack);

    /// Whoever looked before `begun` saw the clock as it was, and whoever looks after `done` sees it so far
    /// ahead of this host's; in between, either.
    struct step {
        sync::instant begun;
        sync::instant done;
        std::chrono::milliseconds ahead;
    };
    /// The last one so far.
    void note(const step& made);

    /// All that it may have shown to one who looked between the two times of this host's clock.
    [[nodiscard]] span during(sync::instant began, sync::instant ended) const;

  private:
    struct setting {
        sync::instant from;
        sync::instant until;
        std::chrono::milliseconds ahead;
    };

    const std::chrono::milliseconds slack_;
    std::vector<setting> settings_; ///< in their order; each ends when the next one's step is done
};

} // namespace mana::checker
