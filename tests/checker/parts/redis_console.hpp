// Redis as its operator speaks to it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mana::checker {

/// What Redis answers, over a connection of its own; nothing where it is away or refuses.
std::optional<std::string> ask_redis(const std::string& socket, const std::vector<std::string>& words);

} // namespace mana::checker
