// Whether pushes fail because PostgreSQL waits for a synchronous standby: what /health and /metrics say of
// it.
#pragma once

#include "shared/store/postgres.hpp"

#include <atomic>
#include <chrono>

namespace mana::hub {

class standby_watch {
  public:
    /// Once a second, on the sweep's thread. Logs when a standby is missed, and when no longer. Throws
    /// store::postgres_error.
    void look(store::connection& on, store::deadline until);
    /// Any thread.
    [[nodiscard]] bool missing() const noexcept { return missing_; }

  private:
    using clock = std::chrono::steady_clock;

    std::atomic<bool> missing_ = false;
    clock::time_point last_missed_{}; // on the sweep's thread
};

} // namespace mana::hub
