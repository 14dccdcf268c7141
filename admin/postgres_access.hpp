// The tool's connection to PostgreSQL: by the role of the service, so that it sees no more than that.
#pragma once

#include "shared/runtime/configuration.hpp"
#include "shared/store/postgres.hpp"

#include <initializer_list>
#include <vector>

namespace mana::admin {

// Unprepared, so that a statement that the database does not know yet fails alone, and PgBouncer of any age
// will do. Throws store::postgres_error.
[[nodiscard]] store::connection connect(const runtime::configuration& settings);

// The same, for what row-level security must bind: throws std::runtime_error where the role is a superuser,
// has BYPASSRLS or owns the tables.
[[nodiscard]] store::connection connect_bound(const runtime::configuration& settings);

[[nodiscard]] store::deadline from_now(std::chrono::milliseconds patience);

// One statement in a transaction of nobody. Throws store::postgres_error.
store::rows ask(store::connection& on, const store::statement& what,
                std::initializer_list<store::parameter> parameters = {});

struct role_facts {
    std::string name;
    bool superuser = false;
    bool bypasses = false;
    bool owns = false;   // something, or is a member of the role that owns our tables
    bool member = false; // of mana_sync_service
    [[nodiscard]] bool bound() const { return !superuser && !bypasses && !owns; }
};
// Throws store::postgres_error.
[[nodiscard]] role_facts role_of(store::connection& on);

} // namespace mana::admin
