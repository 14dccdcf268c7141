// How many requests a second one user may make, on all devices together (SPEC §6), and how many of them one
// device: counted by all workers of the host in memory that they share.
#pragma once

#include "fcgi_worker/shared_array.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mana::fcgi_worker {

// Whose request it is. A device is known by its token and its client id together.
struct sender {
    std::string_view user;
    std::string_view token;
    std::string_view client_id; // may be empty: then all who use the token without one are one device
};

// Made by the master, so that the workers which it forks share it; none of them has to be alone with it. A
// device may have half of its user's rate, so that one in a loop leaves the others theirs. Both may be ahead
// of their rate by ten seconds' worth: a device that was offline for long sends its whole queue at once.
//
// Nobody is written down: users, and devices apart from them, fall by hash into two rows of cells, and one is
// refused where both cells are too far ahead. Two users would have to meet twice, and one of them be over the
// rate, for the other to be refused as well.
class request_rate {
  public:
    using clock = std::chrono::steady_clock;

    static constexpr std::chrono::seconds ahead_at_most{10};

    // 0: no limit. Throws std::system_error where there is no memory.
    explicit request_rate(unsigned a_second);

    // Counts a request, and gives nothing; or refuses it, and says when one will be taken again. What is
    // refused counts for nobody.
    [[nodiscard]] std::optional<std::chrono::milliseconds> refuse(const sender& who, clock::time_point now);

  private:
    // Up to when a cell's requests are paid for, in nanoseconds of the steady clock.
    using cell = std::atomic<std::int64_t>;
    static_assert(cell::is_always_lock_free, "processes share them");

    // The cells of all users, or of all devices; each 0 at first: nothing is paid for.
    class meter {
      public:
        explicit meter(std::int64_t cost);

        // How much too far ahead one more request would be; not above 0 where it is none.
        [[nodiscard]] std::int64_t over(std::string_view name, std::int64_t at) const;
        void pay(std::string_view name, std::int64_t at);

      private:
        const std::int64_t cost_; // of one request
        const shared_array<cell> cells_;

        [[nodiscard]] cell& cell_of(std::string_view name, std::size_t row) const;
    };

    const bool limited_;
    meter users_;
    meter devices_;
};

} // namespace mana::fcgi_worker
