#include "admin/migrations.hpp"

#include "admin/postgres_access.hpp"
#include "shared/store/text_array.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace mana::admin {
namespace {

constexpr store::statement applied_statement{
    "applied_migrations",
    "select to_json(coalesce(array_agg(name::text order by name), '{}')) from sync_migrations"};

bool is_migration(const std::filesystem::path& file) {
    const std::string name = file.filename();
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return file.extension() == ".sql" && name.size() > 5 &&
           std::all_of(name.begin(), name.begin() + 4, is_digit) && name[4] == '_';
}

std::vector<std::string> migrations_in(const std::string& folder) {
    std::error_code failure;
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{folder, failure})
        if (is_migration(entry.path())) names.push_back(entry.path().stem());
    if (failure) throw std::runtime_error{"cannot read " + folder + ": " + failure.message()};
    if (names.empty())
        throw std::runtime_error{folder + " holds no migrations; name the right folder by --sql-dir"};
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<std::string> without(const std::vector<std::string>& names,
                                 const std::vector<std::string>& others) {
    std::vector<std::string> left;
    std::set_difference(names.begin(), names.end(), others.begin(), others.end(), std::back_inserter(left));
    return left;
}

} // namespace

migration_state migrations_of(store::connection& on, const std::string& sql_dir) {
    const auto wanted = migrations_in(sql_dir);
    const auto found = ask(on, applied_statement);
    auto applied = store::texts_in(found.text(0, 0));
    std::sort(applied.begin(), applied.end());
    return {applied.size(), applied.empty() ? std::string{} : applied.back(), without(wanted, applied),
            without(applied, wanted)};
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text.append(text.empty() ? "" : ", ").append(name);
    return text;
}

} // namespace mana::admin
