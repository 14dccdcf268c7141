// The form of systemd's EnvironmentFile, so that an operator's shell reads what the services were given.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::admin {

// Names and values in the order of the text; of a name that comes twice the last counts.
using assignments = std::vector<std::pair<std::string, std::string>>;

// As systemd 252 reads it: KEY=VALUE on a line of its own, empty lines, and comments that begin with # or ;.
// A value in single quotes is taken as it is; in double quotes a backslash keeps its place except before one
// of
// "\`$; outside of quotes it is dropped and what follows it kept. A backslash at the end of a line joins the
// next one to it. A line that is no assignment, or whose name no variable can have, is skipped, as systemd
// does.
[[nodiscard]] assignments parse_env_file(std::string_view text);

} // namespace mana::admin
