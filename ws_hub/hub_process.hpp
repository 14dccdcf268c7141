// The hub as a whole: its parts, in the order in which they need each other, and how it begins and ends.
#pragma once

#include "shared/runtime/configuration.hpp"

#include <string_view>

namespace mana::hub {

inline constexpr std::string_view program = "mana-sync-hub";

/// Serves until SIGTERM or SIGINT, then says goodbye to every connection and lets what waits out first, for
/// three seconds at most. SIGHUP changes nothing. Call on the main thread, before others start. Throws where
/// the socket cannot be had.
void run_hub(const runtime::configuration& settings);

} // namespace mana::hub
