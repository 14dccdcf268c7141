// One record as one user sees it: what is held, where it came from, and what lost to it.
#pragma once

#include "admin/command_line.hpp"
#include "shared/runtime/configuration.hpp"
#include "shared/store/lost_writes.hpp"
#include "shared/store/postgres.hpp"
#include "shared/store/scopes.hpp"
#include "shared/sync/record.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mana::admin {

// The user, and the spaces that they are known to be in, by the rule of the services: those that memberships
// last told of, while that is not older than SPACES_STALE_HOURS.
struct viewer {
    store::reader who;
    bool spaces_known = true;                              // or not shared
    std::optional<std::chrono::milliseconds> heard_before; // how long ago memberships last told; none: never
};
// Throws store::postgres_error.
[[nodiscard]] viewer viewer_of(store::connection& on, const std::string& user,
                               const runtime::configuration& settings);

// The row of the log that brought a field.
struct log_entry {
    std::string id;
    sync::position at{};
    std::string op;
    std::string origin; // empty: none
};

// The record in one of its user's scopes.
struct held_record {
    std::string scope;
    sync::record_state state;
    std::map<std::string, log_entry> written; // by field; not there where the log has no such row any more
};

// Rows of other programs with this record that no reader sees.
struct unseen_rows {
    std::int64_t waiting = 0;
    std::map<std::string, std::int64_t> set_aside; // by reason
};

struct record_view {
    std::vector<held_record> held; // a record has one home; own first where it is in several all the same
    std::vector<store::kept_lost_write> lost;
    unseen_rows unseen;
    sync::instant now; // of the database

    [[nodiscard]] bool empty() const {
        return held.empty() && lost.empty() && unseen.waiting == 0 && unseen.set_aside.empty();
    }
};

// Reads it in one transaction of the viewer. Throws store::postgres_error.
[[nodiscard]] record_view view_record(store::connection& on, const viewer& who, const record_wanted& wanted);

// "ann's own", "space s1": in words.
[[nodiscard]] std::string scope_in_words(const std::string& scope);

// Where spaces are not looked at: one line that says so and why; else nothing.
[[nodiscard]] std::optional<std::string> spaces_caveat(const viewer& who);

} // namespace mana::admin
