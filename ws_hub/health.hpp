// How the hub is: what /health and /metrics say. Used on the io thread only.
#pragma once

#include "ws_hub/redis_feed.hpp"
#include "ws_hub/subscription_index.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace mana::hub {

class health {
  public:
    /// Both outlive it.
    health(const subscription_index& index, const redis_feed& feed);
    ~health();
    health(const health&) = delete;
    health& operator=(const health&) = delete;

    /// A notification came from Redis.
    void count_notification();

    /// JSON. The status is ok for as long as the hub can answer: without Redis it still holds its
    /// connections.
    [[nodiscard]] std::string report(std::chrono::system_clock::time_point now) const;
    /// Prometheus text.
    [[nodiscard]] std::string metrics();

  private:
    struct registered;
    const subscription_index& index_;
    const redis_feed& feed_;
    const std::unique_ptr<registered> metrics_;
};

} // namespace mana::hub
