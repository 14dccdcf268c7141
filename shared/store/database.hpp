// A connection to PostgreSQL that is made when it is first needed, and made again after it was lost.
//
// Owned and used by one process or one thread. It refuses to serve by a role that row-level security does not
// bind (SPEC §5).
#pragma once

#include "shared/runtime/log.hpp"
#include "shared/store/postgres.hpp"
#include "shared/store/spaces_memory.hpp"

#include <chrono>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mana::store {

class database {
  public:
    /// `statements`: all that run() will send, in any number of lists; those of transactions are always
    /// there.
    database(postgres_settings settings, std::initializer_list<std::span<const statement>> statements);

    /// What runs from now on is this request's: its id stands in PostgreSQL's application_name.
    void work_for(std::string request_id) { request_id_ = std::move(request_id); }

    /// What f(connection&) returns. A connection that was idle and turns out to be dead (PostgreSQL was
    /// restarted) is replaced, and f called once more: so f must bear being called twice, even after a COMMIT
    /// of its own; where that would store anything twice, it throws another remedy than reconnect.
    /// Throws postgres_error; while PostgreSQL cannot be reached that is retry_later, and mostly at once: see
    /// closed_until_.
    template<class Work>
    auto run(deadline until, Work f) {
        const bool idle = held_ && held_->usable();
        if (!idle) connect(until);
        held_->work_for(request_id_);
        try {
            return f(*held_);
        } catch (const postgres_error& failed) {
            if (!idle || failed.next() != remedy::reconnect) throw;
        }
        connect(until);
        held_->work_for(request_id_);
        return f(*held_);
    }

    /// What this process has seen that users are shown of spaces.
    [[nodiscard]] spaces_memory& seen_spaces() { return seen_spaces_; }

  private:
    using clock = std::chrono::steady_clock;

    void connect(deadline until);
    void open(deadline until);
    void check_role(deadline until);

    const postgres_settings settings_;
    std::vector<statement> statements_; // constant after construction
    std::optional<connection> held_;
    std::string request_id_;
    spaces_memory seen_spaces_;
    clock::time_point closed_until_{}; // after a failed attempt nobody waits for another one before this
    runtime::log::limiter failures_{std::chrono::seconds{10}};
};

} // namespace mana::store
