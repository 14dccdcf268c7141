#include "admin/redis_access.hpp"

#include <algorithm>
#include <utility>

namespace mana::admin {

store::redis_context connect_to_redis(const std::string& url) {
    auto connected = store::connect_redis(store::parse_redis_url(url), redis_answers_within);
    if (!connected) throw std::runtime_error{"Redis: " + connected.error()};
    return std::move(*connected);
}

store::redis_reply ask(redisContext& on, std::initializer_list<std::string_view> words) {
    if (!store::append_command(on, words) || !store::flush_commands(on))
        throw redis_silent{"Redis: " + store::lost_because(on)};
    auto reply = store::next_reply(on, std::chrono::steady_clock::now() + redis_answers_within);
    if (!reply)
        throw redis_silent{"Redis: " + (store::is_lost(on) ? store::lost_because(on) : "no answer in time")};
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error{"Redis: " + std::string{text_of(*reply)}};
    return reply;
}

} // namespace mana::admin
