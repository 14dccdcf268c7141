// The settings that the services run with, as an operator's shell finds them: an env file, and over it the
// environment.
#pragma once

#include "admin/env_file.hpp"
#include "shared/runtime/configuration.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mana::admin {

inline constexpr const char* default_env_file = "/etc/mana-sync/mana-sync.env";
inline constexpr const char* default_migrate_env_file = "/etc/mana-sync/migrate.env";

// Where a value comes from.
enum class origin { by_default, file, environment };

// Constant after construction.
class settings_source {
  public:
    // `files` are read one after the other, a later one winning. Throws std::runtime_error with one line
    // where one cannot be read.
    explicit settings_source(std::vector<std::string> files);

    // A variable as it was set, in the environment (to nothing, too) or else in a file; null where it was
    // not. Valid as long as this.
    [[nodiscard]] const char* find(const char* name) const;
    // The same without the environment.
    [[nodiscard]] const char* find_in_files(std::string_view name) const;
    [[nodiscard]] origin origin_of(const char* name) const;

    // Throws runtime::configuration_error.
    [[nodiscard]] runtime::configuration load() const;

    [[nodiscard]] const std::vector<std::string>& files() const { return files_; }
    // All that the files set, in their order.
    [[nodiscard]] const assignments& from_files() const { return assigned_; }

  private:
    std::vector<std::string> files_;
    assignments assigned_;
};

// The files to read: what --env-file named, or those of `otherwise` that are there.
[[nodiscard]] std::vector<std::string> env_files(const std::optional<std::string>& named,
                                                 const std::vector<std::string>& otherwise = {
                                                     default_env_file});

} // namespace mana::admin
