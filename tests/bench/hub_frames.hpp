// Notifications straight into Redis, as workers publish them, at a steady rate: how many frames the hub makes
// of them. And what Redis alone takes.
#pragma once

#include "shared/store/redis.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace mana::bench {

/// The users' names are PREFIX-0, PREFIX-1, … Each notification has an app of its own, since the hub tells
/// notifications of one app that wait for the same connection as one. Lives until all are published, at
/// least.
class frame_run {
  public:
    /// `rate` in notifications a second. All of these throw std::runtime_error where Redis is lost.
    frame_run(boost::asio::io_context& io, const std::string& redis_url, std::string user_prefix,
              std::size_t users, double rate, std::size_t count);

    void start();
    /// A sync-available came.
    void hear(std::string_view app);
    [[nodiscard]] bool published() const { return published_ == count_; }
    [[nodiscard]] std::size_t frames() const { return frames_; }
    [[nodiscard]] double publish_seconds() const;
    /// From the first notification to the last frame.
    [[nodiscard]] double frame_seconds() const;

  private:
    using clock = std::chrono::steady_clock;

    const std::string user_prefix_;
    const std::size_t users_;
    const double rate_;
    const std::size_t count_;
    store::redis_context redis_;
    boost::asio::steady_timer timer_;

    clock::time_point started_;
    clock::time_point last_publish_;
    clock::time_point last_frame_;
    std::chrono::sys_time<std::chrono::microseconds> cursor_;
    std::size_t published_ = 0;
    std::size_t unanswered_ = 0;
    std::size_t frames_ = 0;

    void tick();
    void publish_next();
    void take_replies();
};

/// Milliseconds from PUBLISH to its message at a subscriber, sorted: the least that any notification takes.
std::vector<double> redis_round_trips(const std::string& redis_url, std::size_t count);

} // namespace mana::bench
