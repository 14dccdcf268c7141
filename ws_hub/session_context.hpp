// What all sessions of the hub share.
#pragma once

namespace mana::hub {

class health;
class subscription_index;
class token_verifier;

/// Outlives the sessions. Used on the io thread only.
struct session_context {
    subscription_index& index;
    token_verifier& verifier;
    health& state;
};

} // namespace mana::hub
