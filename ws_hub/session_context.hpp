// What all sessions of the hub share.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mana::hub {

class fan_out;
class health;
class metrics;
class page_pool;
class subscription_index;
class token_verifier;
class user_lookup;

/// Outlives the sessions. Used on the io thread only.
struct session_context {
    subscription_index& index;
    fan_out& news;
    token_verifier& verifier;
    user_lookup& users;
    page_pool& pages;
    health& state;
    metrics& counts;
    const std::size_t connections_of_user;   ///< at most
    const int page_rows;                     ///< of a stream, at most
    const std::vector<std::string>& origins; ///< of web apps that may connect, as browsers send them
};

} // namespace mana::hub
