// Whether the Redis at the other end of a connection is the one to talk to. A master that was demoted keeps
// its connections open, and so does one that was moved: whoever goes on with them talks to nobody.
#pragma once

#include "shared/store/redis.hpp"

#include <chrono>
#include <string_view>

namespace mana::store {

/// Whether an error of Redis means that another connection may do better: this one leads to a server that is
/// no master (READONLY, MASTERDOWN), not this key's (MOVED, ASK, CLUSTERDOWN, TRYAGAIN), not ready (LOADING),
/// or that has forgotten who we are (NOAUTH). Others, like OOM, NOPERM and WRONGTYPE, would be the same
/// again.
bool calls_for_new_connection(std::string_view error);

enum class redis_role {
    master,
    replica,
    unknown, ///< this user may ask neither ROLE nor INFO
    silent,  ///< no answer in time, `wake` became readable, or the connection is lost
};

/// What the server is at the moment. On a connection that is subscribed to nothing and has nothing to be
/// read. Each of two questions waits until `until` at most, or until `wake` is readable (a descriptor, or
/// -1).
redis_role role_of(redisContext& on, std::chrono::steady_clock::time_point until, int wake = -1);

} // namespace mana::store
