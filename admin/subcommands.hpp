// Each subcommand is a function in a file of its name. It prints to stdout and gives the exit status; what
// stops it is thrown as std::exception with one line, for stderr.
#pragma once

#include "admin/command_line.hpp"
#include "admin/settings.hpp"

#include <string>

namespace mana::admin {

// 0 only if nothing FAILED.
int run_doctor(const settings_source& source, const std::string& sql_dir, const doctor_wanted& wanted);

// Throws runtime::configuration_error for the bad setting.
int run_check_config(const settings_source& source);

// Becomes sql_dir/migrate, so that it returns only by throwing. Takes MIGRATE_DATABASE_URL from `source`.
int run_migrate(const settings_source& source, const std::string& sql_dir);

int run_status(const settings_source& source, const std::string& sql_dir);

// Until SIGINT or SIGTERM: 0.
int run_tail(const settings_source& source, const tail_wanted& wanted);

// 1 where the user sees no such record.
int run_explain(const settings_source& source, const explain_wanted& wanted);

// 0 where it was written, or could be with --yes; 1 where there is none, or several to choose from.
int run_restore_write(const settings_source& source, const restore_write_wanted& wanted);

// Takes MIGRATE_DATABASE_URL from `source`. 0 where the user is gone, whether there was one or not.
int run_erase(const settings_source& source, const erase_wanted& wanted);

} // namespace mana::admin
