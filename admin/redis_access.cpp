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

std::string_view text_of(const redisReply& reply) {
    return reply.str == nullptr ? std::string_view{} : std::string_view{reply.str, reply.len};
}

std::string_view info_of(const redisReply& info, std::string_view name) {
    std::string_view rest = text_of(info);
    while (!rest.empty()) {
        const auto end = std::min(rest.find("\r\n"), rest.size());
        const auto line = rest.substr(0, end);
        if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
            return line.substr(name.size() + 1);
        rest.remove_prefix(std::min(end + 2, rest.size()));
    }
    return {};
}

} // namespace mana::admin
