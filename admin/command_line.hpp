// What an operator asks for. CLI11 stays inside: it is slow to compile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace mana::admin {

// The names of one record: which user, for row-level security shows only that user's, and which one of
// theirs.
struct record_wanted {
    std::string user;
    std::string app;
    std::string table;
    std::string record_id;
};

struct doctor_wanted {
    std::optional<std::string> url; // where nginx answers; none: this host, at PORT
};
struct check_config_wanted {};
struct migrate_wanted {};
struct status_wanted {};
struct tail_wanted {
    std::string user; // empty: of all
    std::string app;  // empty: all
    bool since_start = false;
    bool json = false;
};
struct explain_wanted {
    record_wanted record;
    bool json = false;
};
struct restore_write_wanted {
    record_wanted record;
    std::string field;
    std::optional<std::string> lost_at; // as explain shows it, or its beginning
    std::optional<std::int64_t> id;
    bool yes = false;
};
struct erase_wanted {
    std::string user;
    bool dry_run = false;
};

struct command {
    std::optional<std::string> env_file;
    std::string sql_dir;
    std::variant<doctor_wanted, check_config_wanted, migrate_wanted, status_wanted, tail_wanted,
                 explain_wanted, restore_write_wanted, erase_wanted>
        wanted;
};

inline constexpr int usage_fault = 2; // exit status

// What to do; or, a number: nothing more, exit with it (0 after --help and --version, which are answered on
// stdout; usage_fault after one line on stderr).
[[nodiscard]] std::variant<command, int> parse_command_line(int argc, const char* const* argv);

} // namespace mana::admin
