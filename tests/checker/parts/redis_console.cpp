#include "tests/checker/parts/redis_console.hpp"

#include <hiredis/hiredis.h>
#include <memory>
#include <sys/time.h>

namespace mana::checker {

namespace {

constexpr timeval patience{2, 0};

struct free_context {
    void operator()(redisContext* context) const { redisFree(context); }
};
struct free_reply {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

} // namespace

std::optional<std::string> ask_redis(const std::string& socket, const std::vector<std::string>& words) {
    const std::unique_ptr<redisContext, free_context> context{
        redisConnectUnixWithTimeout(socket.c_str(), patience)};
    if (!context || context->err != 0) return std::nullopt;
    redisSetTimeout(context.get(), patience);
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const auto& word : words) {
        texts.push_back(word.data());
        sizes.push_back(word.size());
    }
    const std::unique_ptr<redisReply, free_reply> reply{static_cast<redisReply*>(
        redisCommandArgv(context.get(), static_cast<int>(words.size()), texts.data(), sizes.data()))};
    if (!reply || reply->type == REDIS_REPLY_ERROR) return std::nullopt;
    return std::string(reply->str != nullptr ? reply->str : "", reply->len);
}

} // namespace mana::checker
