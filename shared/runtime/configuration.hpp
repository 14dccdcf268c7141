// The configuration table: every environment variable that the two programs read (SPEC §7).
//
// One table in configuration.cpp gives each variable its name, type, default and one line of meaning. It
// fills the struct below, prints the environment part of --help, the sample env file and the rows of the
// README's table, so that none of them can disagree with another.
#pragma once

#include "shared/runtime/log.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mana::runtime {

// Filled by load_configuration and constant from then on: hold it as `const configuration`.
// It holds secrets (database_url, redis_url, mana_service_key): never log or print those three; of the other
// URLs only what shown_url() leaves.
struct configuration {
    std::uint16_t port = 0;                // where nginx listens; the programs themselves do not
    std::string database_url;              // libpq connection URI or keyword=value string
    std::string jwks_url;                  // http(s)
    std::vector<std::string> cors_origins; // each exactly as a browser sends Origin, once
    std::string mana_credits_url;          // http(s), without a slash at the end
    std::string mana_service_key;          // fit for a header: printable ASCII
    std::string redis_url;                 // parse_redis_url() reads it without a fault
    std::string mana_auth_url; // http(s), without a slash at the end; empty: shared spaces are off
    std::chrono::milliseconds gate_cache{};
    std::chrono::milliseconds max_clock_skew{};
    unsigned workers = 0;                 // FastCGI processes, at least 1
    unsigned worker_requests = 0;         // of one worker, then it is replaced; 0: no end by that
    unsigned worker_memory = 0;           // megabytes resident, then it is replaced; 0: no end by that
    std::string worker_socket;            // absolute path, at most 107 bytes
    std::string worker_metrics;           // absolute path
    std::string hub_socket;               // absolute path, at most 107 bytes
    std::string keys_file;                // absolute path
    unsigned max_changes = 0;             // of one push
    unsigned max_fields = 0;              // of one change
    unsigned max_nesting = 0;             // of one field's value
    unsigned max_spaces = 0;              // of one user
    unsigned max_requests = 0;            // a second, of one user; 0: no limit
    unsigned max_connections = 0;         // of one user, on one hub
    unsigned page_rows = 0;               // of a pull; at most those that the protocol allows
    std::chrono::days lost_writes_kept{}; // LOST_WRITES_DAYS
    std::chrono::hours spaces_stale{};    // SPACES_STALE_HOURS
    std::chrono::milliseconds statement_timeout{};
    std::chrono::milliseconds lock_timeout{}; // below PostgreSQL's deadlock_timeout of 1 s
    bool prepared_statements = true;
    log::level log_level = log::level::info;
};

// what() is one line that names the variable, what is wrong with its value, and what is allowed. The value of
// a secret is never part of it.
class configuration_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Like getenv: the value of a variable, or null where it is not set.
using environment = std::function<const char*(const char* name)>;

// A variable that is not set, or set to nothing (as `PORT=` in an env file), has its default.
// Throws configuration_error at the first bad value, in the order of the table.
[[nodiscard]] configuration load_configuration(const environment& lookup);

// The same from the environment of this process. Call before threads start: getenv is not thread-safe.
[[nodiscard]] configuration load_configuration();

// A variable of the table and its value where it is not set.
struct variable_default {
    std::string_view name;
    std::string_view value;
};

// All variables, in the table's order.
[[nodiscard]] std::vector<variable_default> variable_defaults();

// The table as the environment part of --help.
[[nodiscard]] std::string environment_help();

// The table as an env file for systemd's EnvironmentFile: each variable commented out, at its default.
[[nodiscard]] std::string sample_environment_file();

// The table as rows of Markdown: | `NAME` | type | `default` | meaning |, without a head.
[[nodiscard]] std::string readme_rows();

} // namespace mana::runtime
