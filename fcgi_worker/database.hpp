// A worker's one connection to PostgreSQL: made when it is first needed, and made again after it was lost.
//
// Owned by one process after fork(), used by one thread. It refuses to serve by a role that row-level
// security does not bind (SPEC §5).
#pragma once

#include "shared/runtime/log.hpp"
#include "shared/store/postgres.hpp"

#include <chrono>
#include <optional>
#include <utility>

namespace mana::fcgi_worker {

class database {
  public:
    explicit database(store::postgres_settings settings);

    // What f(connection&) returns. A connection that was idle and turns out to be dead (PostgreSQL was
    // restarted) is replaced, and f called once more: so f must bear being called twice, even after a COMMIT
    // of its own, as a push and a page do.
    // Throws postgres_error; while PostgreSQL cannot be reached that is retry_later, and mostly at once: see
    // closed_until_.
    template<class Work>
    auto run(store::deadline until, Work f) {
        const bool idle = held_ && held_->usable();
        if (!idle) connect(until);
        try {
            return f(*held_);
        } catch (const store::postgres_error& failed) {
            if (!idle || failed.next() != store::remedy::reconnect) throw;
        }
        connect(until);
        return f(*held_);
    }

  private:
    using clock = std::chrono::steady_clock;

    void connect(store::deadline until);
    void open();
    void check_role();

    const store::postgres_settings settings_;
    std::optional<store::connection> held_;
    clock::time_point closed_until_{}; // after a failed attempt nobody waits for another one before this
    runtime::log::limiter failures_{std::chrono::seconds{10}};
};

} // namespace mana::fcgi_worker
