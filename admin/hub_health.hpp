// What the hub of this host says of itself.
#pragma once

#include <boost/system/result.hpp>

#include <cstdint>
#include <string>

namespace mana::admin {

struct hub_health {
    std::int64_t connections = 0;
    std::int64_t users = 0;
    bool postgres_up = false;     // it reads, whatever commits wait for
    bool standby_missing = false; // commits wait for a synchronous standby in vain
    bool redis_up = false;
    bool redis_refuses = false; // it answers, and does not take what the hub tells it
};

// Asks /health at the hub's own socket; two seconds at most. An error is one line.
[[nodiscard]] boost::system::result<hub_health, std::string> health_of_hub(const std::string& socket);

} // namespace mana::admin
