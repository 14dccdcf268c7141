// A PostgreSQL connection string, URL or keyword=value pairs, taken apart as libpq does it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mana::admin {

struct connection_option {
    std::string keyword;
    std::string value;
    std::string variable; // of the environment that says the same; empty: there is none
    bool secret = false;  // a password
};

// The options that it sets. Nothing where libpq cannot read it.
[[nodiscard]] std::optional<std::vector<connection_option>> parse_connection_string(const std::string& text);

// As keyword=value pairs, quoted where needed, without the secret ones.
[[nodiscard]] std::string without_secrets(const std::vector<connection_option>& options);

[[nodiscard]] bool has_secrets(const std::vector<connection_option>& options);

// The value of an option; empty where it is not set.
[[nodiscard]] std::string value_of(const std::vector<connection_option>& options, const std::string& keyword);

} // namespace mana::admin
