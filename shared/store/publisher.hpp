// Tells Redis of committed pushes (SPEC §8). Redis is the fast path and never fails a push.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/store/redis.hpp"

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

/// Owned by one process, used by one thread. Connects when first needed; while Redis is away, tries again at
/// most once a second and otherwise returns at once.
class publisher {
  public:
    /// `url`: see parse_redis_url. Throws std::invalid_argument for another form.
    explicit publisher(const std::string& url);
    ~publisher();
    publisher(const publisher&) = delete;
    publisher& operator=(const publisher&) = delete;
    publisher(publisher&&) noexcept;
    publisher& operator=(publisher&&) noexcept;

    /// Publishes each to its channel and to the stream, in one round trip of at most 250 ms; where it has to
    /// connect first, that takes as long again at most, and so does the answer to AUTH or SELECT. False where
    /// Redis did not take them all: the sweep of the log will find what was not told.
    bool publish(std::span<const notification> told);

    /// The same in two steps, so that an answer need not wait for Redis: begin() sends, settle() waits for
    /// what Redis says to it. settle() is called before the next begin(), and true where nothing was begun.
    void begin(std::vector<notification> told);
    bool settle();

  private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

} // namespace mana::store
