// Tells Redis of committed pushes (SPEC §8). Redis is the fast path and never fails a push.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/store/redis.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mana::store {

/// Owned by one process, used by one thread. Connects when first needed; while Redis is away, tries again at
/// most once a second and otherwise returns at once. A Redis that is no master any more counts as away.
class publisher {
  public:
    /// `url`: see parse_redis_url. Throws std::invalid_argument for another form.
    explicit publisher(const std::string& url);
    ~publisher();
    publisher(const publisher&) = delete;
    publisher& operator=(const publisher&) = delete;
    publisher(publisher&&) noexcept;
    publisher& operator=(publisher&&) noexcept;

    /// Tells each to its channel and to the stream, in two steps, so that an answer need not wait for Redis:
    /// begin() sends, settle() waits for what Redis says to it. One round trip of at most 250 ms; where it
    /// has to connect first, that takes as long again at most, and so does the answer to AUTH or SELECT. What
    /// was sent to a Redis that turns out to be lost, or no master any more, is sent once more to the one
    /// that answers then. settle() is called before the next begin(). It gives why Redis did not take all
    /// (the sweep of the log will find what was not told); empty where it did, and where nothing was begun.
    void begin(std::vector<notification> told);
    std::string settle();

    /// Both steps at once. False where Redis did not take all.
    bool publish(std::span<const notification> told);

    /// What became of a call below: empty `failure` where all went well.
    struct outcome {
        std::string failure;  ///< one line
        bool refused = false; ///< Redis said so; else it was not reached, or is no master any more
    };

    /// Tells one place of each, in one round trip of at most 250 ms. `taken`: which of them it has now, as
    /// many as there are in `some`.
    outcome tell(told_place place, std::span<const notification> some, std::vector<bool>& taken);

    /// Reads entries of the stream that come after the one of id `after`, oldest first, `most` at most, and
    /// sets `after` to the last of them. Entries that are no notifications are passed over. `to_the_end`:
    /// there was no further one.
    outcome read_stream(std::string& after, std::size_t most, std::vector<notification>& read,
                        bool& to_the_end);

    /// Connects where there is no connection, and asks whether it leads to a master: a replica takes a
    /// PUBLISH that nobody hears. (Where the user may not ask, it is taken for one.)
    outcome reach();

    /// Another one each time that a connection was made.
    [[nodiscard]] std::uint64_t connection() const;

  private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

} // namespace mana::store
