// The checks of doctor, one function for each part that can be down by itself. None throws for a part that is
// down, and each has time-outs of its own: a few seconds together.
#pragma once

#include "admin/finding.hpp"
#include "shared/runtime/configuration.hpp"

#include <string>

namespace mana::admin {

// PostgreSQL: the server, the role, the migrations of `sql_dir`, row-level security, clock, time-outs,
// connections, and what waits in the tables.
[[nodiscard]] findings check_postgres(const runtime::configuration& settings, const std::string& sql_dir);

// Redis: the server, its memory, its clock, the stream and who reads it.
[[nodiscard]] findings check_redis(const runtime::configuration& settings);

// The issuer of tokens, billing and memberships.
[[nodiscard]] findings check_services(const runtime::configuration& settings);

// The sockets of workers and hub, the hub behind its own, and what nginx makes of them at `url`.
[[nodiscard]] findings check_front(const runtime::configuration& settings, const std::string& url);

} // namespace mana::admin
