// A connection that has ended: counted and logged here and nowhere else.
#pragma once

#include "ws_hub/ending.hpp"
#include "ws_hub/metrics.hpp"

#include <chrono>
#include <string_view>

namespace mana::hub {

struct closed_connection {
    connection_kind kind;
    std::string_view request_id; ///< of the request that opened it
    std::string_view user;       ///< empty: nobody was authenticated
    std::chrono::steady_clock::time_point opened;
};

/// Once for each connection. A line of the log: debug where the end was to be expected, else info.
void report(metrics& counts, const closed_connection& what, const ending& why);

} // namespace mana::hub
