#include "shared/store/redis_standing.hpp"

#include <algorithm>
#include <array>
#include <hiredis/hiredis.h>

namespace mana::store {
namespace {

redis_role role_in(std::string_view name) {
    if (name == "master") return redis_role::master;
    // A sentinel takes no pushes either.
    return name == "slave" || name == "sentinel" ? redis_role::replica : redis_role::unknown;
}

redis_reply answer_to(redisContext& on, std::initializer_list<std::string_view> words,
                      std::chrono::steady_clock::time_point until, int wake) {
    if (!append_command(on, words) || !flush_commands(on)) return nullptr;
    return next_reply(on, until, wake);
}

} // namespace

bool calls_for_new_connection(std::string_view error) {
    static constexpr std::array<std::string_view, 8> codes{"READONLY",    "MASTERDOWN", "MOVED",   "ASK",
                                                           "CLUSTERDOWN", "TRYAGAIN",   "LOADING", "NOAUTH"};
    return std::ranges::find(codes, error.substr(0, error.find(' '))) != codes.end();
}

redis_role role_of(redisContext& on, std::chrono::steady_clock::time_point until, int wake) {
    const auto told = answer_to(on, {"ROLE"}, until, wake);
    if (!told) return redis_role::silent;
    if (told->type == REDIS_REPLY_ARRAY && told->elements > 0) return role_in(text_of(*told->element[0]));
    const auto info = answer_to(on, {"INFO", "replication"}, until, wake);
    if (!info) return redis_role::silent;
    return role_in(info_of(*info, "role"));
}

} // namespace mana::store
