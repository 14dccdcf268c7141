// migrate: applies the installed migrations, by the role that owns the tables.
#include "admin/subcommands.hpp"
#include "shared/runtime/connection_string.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <system_error>
#include <unistd.h>

namespace mana::admin {
namespace {

constexpr const char* variable = "MIGRATE_DATABASE_URL";

void set_variable(const std::string& name, const std::string& value) {
    if (::setenv(name.c_str(), value.c_str(), 1) != 0) // NOLINT(concurrency-mt-unsafe): one thread
        throw std::system_error{errno, std::generic_category(), "setenv"};
}

std::string owners_url(const settings_source& source) {
    const char* const url = source.find(variable);
    if (url == nullptr || *url == '\0')
        throw std::runtime_error{std::string{variable} +
                                 " is not set: it is the URL of the role that owns the tables"};
    try {
        runtime::check_connection_string(url);
    } catch (const std::invalid_argument& why) {
        throw std::runtime_error{std::string{variable} + ": its value " + why.what()};
    }
    return url;
}

} // namespace

// The arguments of a program can be read by everyone on its host, its environment cannot. So the password
// goes by PGPASSWORD, and psql is shown the rest.
int run_migrate(const settings_source& source, const std::string& sql_dir) {
    const auto options = runtime::parse_connection_string(owners_url(source));
    if (!options) throw std::runtime_error{std::string{variable} + " is not a PostgreSQL connection string"};
    for (const auto& option : *options) {
        if (!option.secret) continue;
        if (option.variable.empty())
            throw std::runtime_error{std::string{variable} + " holds " + option.keyword +
                                     ", which psql could only be told where others can read it"};
        set_variable(option.variable, option.value);
    }
    set_variable(variable, runtime::without_secrets(*options));
    std::cout << "Applying the migrations of " << sql_dir << " as their owner; this writes to the database."
              << std::endl;
    std::string script = sql_dir + "/migrate";
    const std::array<char*, 2> words{script.data(), nullptr};
    ::execv(script.c_str(), words.data());
    throw std::runtime_error{"cannot run " + script + ": " + std::generic_category().message(errno)};
}

} // namespace mana::admin
