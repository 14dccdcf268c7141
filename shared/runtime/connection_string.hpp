// A PostgreSQL connection string, URL or keyword=value pairs, taken apart as libpq does it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mana::runtime {

struct connection_option {
    std::string keyword;
    std::string value;
    std::string variable; // of the environment that says the same; empty: there is none
    bool secret = false;  // a password
};

// The options that it sets. Nothing where libpq cannot read it.
[[nodiscard]] std::optional<std::vector<connection_option>> parse_connection_string(const std::string& text);

// Throws std::invalid_argument, with what is wrong, without any part of the text, unless libpq can read it
// and would not fail for it later: each port is one, hosts and ports are as many, sslmode is a mode. In a URL
// an @ may stand only where user and password end: one elsewhere is mostly a password's, of which libpq would
// make a host or a database.
void check_connection_string(const std::string& text);

// As keyword=value pairs, quoted where needed, without the secret ones.
[[nodiscard]] std::string without_secrets(const std::vector<connection_option>& options);

[[nodiscard]] bool has_secrets(const std::vector<connection_option>& options);

// The value of an option; empty where it is not set.
[[nodiscard]] std::string value_of(const std::vector<connection_option>& options, const std::string& keyword);

} // namespace mana::runtime
