// A connection to Redis that is never waited on without a deadline: for the publisher and for the hub's
// subscriber.
//
// Not thread-safe: one thread owns a connection. hiredis writes with write(): the process ignores SIGPIPE.
#pragma once

#include "shared/runtime/redis_address.hpp"

#include <boost/system/result.hpp>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

struct redisContext;
struct redisReply;

namespace mana::store {

using runtime::parse_redis_url;
using runtime::redis_address;

struct free_redis {
    void operator()(redisContext* context) const noexcept;
    void operator()(redisReply* reply) const noexcept;
};
using redis_context = std::unique_ptr<redisContext, free_redis>;
using redis_reply = std::unique_ptr<redisReply, free_redis>;

/// Connects, authenticates and selects the database. `timeout` is for each of connecting, answering, and any
/// later write; looking up a host's name is not bounded by it. An error is one line without the password.
boost::system::result<redis_context, std::string> connect_redis(const redis_address& where,
                                                                std::chrono::milliseconds timeout);

/// Puts a command into the pipeline. False where memory is short.
bool append_command(redisContext& on, std::initializer_list<std::string_view> words);

/// Sends what is in the pipeline. False: the connection is lost.
bool flush_commands(redisContext& on);

/// The next reply. Null where none came until `until` or `wake` became readable (a descriptor, or -1), and
/// where the connection is lost, which is_lost() tells.
redis_reply next_reply(redisContext& on, std::chrono::steady_clock::time_point until, int wake = -1);

/// A reply's text; empty where it has none. It lives as long as the reply.
[[nodiscard]] std::string_view text_of(const redisReply& reply);
/// The value of "name:value" in the answer to INFO; empty where there is none.
[[nodiscard]] std::string_view info_of(const redisReply& info, std::string_view name);

bool is_lost(const redisContext& on);
/// Why it was lost, one line.
std::string lost_because(const redisContext& on);

} // namespace mana::store
