// What Redis tells of committed pushes, brought to the io thread.
//
// A thread of its own waits on Redis with the blocking API and hands over what it read: it reads first and
// works later, since Redis drops a subscriber that lags. It subscribes once to all channels of the contract,
// and connects again, ever more slowly, for as long as Redis is away.
//
// A master that is demoted tells its subscribers nothing of it, and answers their PING. So a second
// connection, made beside the subscribed one, asks every few seconds what the server is; one that is no
// master counts as away.
#pragma once

#include "shared/runtime/log.hpp"
#include "shared/runtime/unique_fd.hpp"
#include "shared/store/notification.hpp"
#include "shared/store/redis.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace mana::hub {

class redis_feed {
  public:
    /// Called on the io thread for each notification, in the order in which Redis told them.
    using listener = std::function<void(const store::notification& told)>;

    /// `io` outlives the feed. Throws std::system_error where the system gives no descriptor.
    redis_feed(boost::asio::io_context& io, store::redis_address where);
    redis_feed(const redis_feed&) = delete;
    redis_feed& operator=(const redis_feed&) = delete;
    /// Stops and joins: within two seconds, unless the name of the Redis host is being looked up.
    ~redis_feed();

    /// Once.
    void start(listener hears);
    /// Returns at once; nothing new is handed over after it. Any thread.
    void request_stop() noexcept;
    /// Whether all channels are subscribed. Any thread.
    [[nodiscard]] bool up() const noexcept { return up_; }

  private:
    // Constant after start().
    boost::asio::io_context& io_;
    const store::redis_address where_;
    const runtime::unique_fd wake_; // readable from request_stop() on
    listener hears_;

    std::atomic<bool> up_ = false;
    std::atomic<bool> stopping_ = false;

    std::mutex mutex_; // guards the inbox
    std::condition_variable drained_;
    std::deque<store::notification>
        inbox_; // a drain() is on its way to the io thread whenever it is not empty

    runtime::log::limiter role_unknown_{std::chrono::hours{1}}; // on the feed's thread

    std::thread thread_; // last: it uses all above

    // On the feed's thread.
    void run();
    std::string listen_until_lost();
    std::string listen(redisContext& on, redisContext& beside);
    std::optional<std::string> not_to_be_heard(redisContext& beside);
    std::optional<std::string> take(const redisReply& reply);
    void take_payload(std::string_view payload);
    void hand_over(store::notification told);
    void pause(std::chrono::milliseconds span) const;

    // On the io thread.
    void drain();
};

} // namespace mana::hub
