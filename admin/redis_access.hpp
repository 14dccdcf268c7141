// The tool's questions to Redis, one at a time.
#pragma once

#include "shared/store/redis.hpp"

#include <hiredis/hiredis.h>

#include <chrono>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mana::admin {

inline constexpr std::chrono::milliseconds redis_answers_within{2'000};

// Throws std::runtime_error with one line, without the password.
[[nodiscard]] store::redis_context connect_to_redis(const std::string& url);

// The connection is gone, or an answer did not come in time: of no use any more, since the answer may still
// come.
class redis_silent : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Never null, never an error: throws std::runtime_error, or redis_silent.
[[nodiscard]] store::redis_reply ask(redisContext& on, std::initializer_list<std::string_view> words);

using store::info_of;
using store::text_of;

} // namespace mana::admin
