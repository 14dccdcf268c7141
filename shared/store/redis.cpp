#include "shared/store/redis.hpp"

#include <algorithm>
#include <cerrno>
#include <hiredis/hiredis.h>
#include <optional>
#include <poll.h>
#include <sys/time.h>
#include <vector>

namespace mana::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

timeval to_timeval(milliseconds span) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
    timeval out{};
    out.tv_sec = seconds.count();
    out.tv_usec = std::chrono::microseconds{span - seconds}.count();
    return out;
}

redis_context open(const redis_address& where, timeval timeout) {
    if (where.host.empty()) return redis_context{redisConnectUnixWithTimeout(where.path.c_str(), timeout)};
    return redis_context{redisConnectWithTimeout(where.host.c_str(), where.port, timeout)};
}

/// Why the command was not carried out, or nothing.
std::optional<std::string> run(redisContext& on, std::initializer_list<std::string_view> words,
                               milliseconds timeout) {
    if (!append_command(on, words) || !flush_commands(on)) return lost_because(on);
    const redis_reply reply = next_reply(on, steady_clock::now() + timeout);
    if (!reply) return is_lost(on) ? lost_because(on) : "no answer in time";
    if (reply->type == REDIS_REPLY_ERROR) return std::string{reply->str, reply->len};
    return std::nullopt;
}

std::optional<std::string> introduce(redisContext& on, const redis_address& where, milliseconds timeout) {
    if (!where.password.empty()) {
        auto failure = where.user.empty() ? run(on, {"AUTH", where.password}, timeout)
                                          : run(on, {"AUTH", where.user, where.password}, timeout);
        if (failure) return failure;
    }
    if (where.database == 0) return std::nullopt;
    return run(on, {"SELECT", std::to_string(where.database)}, timeout);
}

/// What the reader already holds, without waiting.
redis_reply buffered_reply(redisContext& on) {
    void* reply = nullptr;
    if (redisGetReplyFromReader(&on, &reply) != REDIS_OK) return nullptr;
    return redis_reply{static_cast<redisReply*>(reply)};
}

/// Whether Redis has sent something (or has gone) before `until` and before `wake`.
bool wait_readable(const redisContext& on, steady_clock::time_point until, int wake) {
    while (true) {
        const auto left = std::chrono::ceil<milliseconds>(until - steady_clock::now());
        pollfd watched[2] = {{on.fd, POLLIN, 0}, {wake, POLLIN, 0}};
        const int ready =
            poll(watched, wake < 0 ? 1 : 2, static_cast<int>(std::max<milliseconds::rep>(left.count(), 0)));
        if (ready > 0) return watched[1].revents == 0;
        if (ready == 0 || errno != EINTR) return false;
    }
}

} // namespace

void free_redis::operator()(redisContext* context) const noexcept {
    redisFree(context);
}

void free_redis::operator()(redisReply* reply) const noexcept {
    freeReplyObject(reply);
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

boost::system::result<redis_context, std::string> connect_redis(const redis_address& where,
                                                                milliseconds timeout) {
    redis_context context = open(where, to_timeval(timeout));
    if (!context) return std::string{"out of memory"};
    if (is_lost(*context)) return lost_because(*context);
    // What could block is bounded by poll() but for writes, which a frozen Redis lets block once its buffer
    // is full.
    if (redisSetTimeout(context.get(), to_timeval(timeout)) != REDIS_OK) return lost_because(*context);
    if (auto failure = introduce(*context, where, timeout)) return std::move(*failure);
    return context;
}

bool append_command(redisContext& on, std::initializer_list<std::string_view> words) {
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const std::string_view word : words) {
        texts.push_back(word.data());
        sizes.push_back(word.size());
    }
    return redisAppendCommandArgv(&on, static_cast<int>(words.size()), texts.data(), sizes.data()) ==
           REDIS_OK;
}

bool flush_commands(redisContext& on) {
    int done = 0;
    while (done == 0)
        if (redisBufferWrite(&on, &done) != REDIS_OK) return false;
    return true;
}

redis_reply next_reply(redisContext& on, steady_clock::time_point until, int wake) {
    while (!is_lost(on)) {
        if (redis_reply reply = buffered_reply(on)) return reply;
        if (is_lost(on) || !wait_readable(on, until, wake)) return nullptr;
        redisBufferRead(&on);
    }
    return nullptr;
}

bool is_lost(const redisContext& on) {
    return on.err != 0;
}

std::string lost_because(const redisContext& on) {
    return on.errstr;
}

} // namespace mana::store
