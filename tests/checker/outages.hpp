// When faults kept parts away: from the blow until they were back. Thread-safe.
#pragma once

#include "shared/sync/time.hpp"

#include <mutex>
#include <string>
#include <vector>

namespace mana::checker {

struct outage {
    std::string kind;
    sync::instant struck; ///< by this host's clock, as all times here
    sync::instant back;
};

class outage_log {
  public:
    /// As long as it lives, parts are away; then it is in the log. The log outlives it.
    class entry {
      public:
        entry(outage_log& in, std::string kind);
        ~entry();
        entry(const entry&) = delete;
        entry& operator=(const entry&) = delete;

      private:
        outage_log& log_;
        std::size_t place_;
    };

    /// In the order of their beginnings. One that is not over yet is back at the end of time.
    [[nodiscard]] std::vector<outage> all() const;

  private:
    mutable std::mutex lock_; ///< guards what follows
    std::vector<outage> outages_;
};

} // namespace mana::checker
