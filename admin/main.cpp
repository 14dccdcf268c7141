// mana-sync-admin: the operator's tool. Only wires the subcommands.

#include "admin/command_line.hpp"
#include "admin/settings.hpp"
#include "admin/subcommands.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/signals.hpp"

#include <exception>
#include <iostream>
#include <type_traits>
#include <variant>

namespace {

using namespace mana::admin;

template<class Wanted>
settings_source source_for(const command& given) {
    if constexpr (std::is_same_v<Wanted, migrate_wanted> || std::is_same_v<Wanted, erase_wanted>)
        return settings_source{env_files(given.env_file, {default_env_file, default_migrate_env_file})};
    return settings_source{env_files(given.env_file)};
}

template<class Wanted>
int run(const command& given, const Wanted& wanted) {
    const auto source = source_for<Wanted>(given);
    if constexpr (std::is_same_v<Wanted, doctor_wanted>) return run_doctor(source, given.sql_dir, wanted);
    if constexpr (std::is_same_v<Wanted, check_config_wanted>) return run_check_config(source);
    if constexpr (std::is_same_v<Wanted, migrate_wanted>) return run_migrate(source, given.sql_dir);
    if constexpr (std::is_same_v<Wanted, status_wanted>) return run_status(source, given.sql_dir);
    if constexpr (std::is_same_v<Wanted, tail_wanted>) return run_tail(source, wanted);
    if constexpr (std::is_same_v<Wanted, explain_wanted>) return run_explain(source, wanted);
    if constexpr (std::is_same_v<Wanted, restore_write_wanted>) return run_restore_write(source, wanted);
    if constexpr (std::is_same_v<Wanted, erase_wanted>) return run_erase(source, wanted);
}

} // namespace

int main(int argc, char** argv) {
    try {
        const auto parsed = parse_command_line(argc, argv);
        if (const int* const status = std::get_if<int>(&parsed)) return *status;
        const auto& given = std::get<command>(parsed);
        mana::runtime::log::set_level(mana::runtime::log::level::error);
        mana::runtime::ignore_broken_pipes();
        const int status = std::visit([&](const auto& wanted) { return run(given, wanted); }, given.wanted);
        std::cout.flush();
        return status == 0 && !std::cout ? 1 : status;
    } catch (const std::exception& failed) {
        std::cout.flush();
        std::cerr << "mana-sync-admin: " << failed.what() << '\n';
        return 1;
    }
}
