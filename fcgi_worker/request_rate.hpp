// How many requests a second one user may make, on all devices together (SPEC §6): counted by all workers of
// the host in memory that they share.
#pragma once

#include "fcgi_worker/shared_array.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mana::fcgi_worker {

// Made by the master, so that the workers which it forks share it; none of them has to be alone with it. A
// user may be ahead of the rate by five seconds' worth: a device that was offline for long sends its whole
// queue at once.
//
// Nobody is written down: users fall by hash into two rows of cells, and one is refused where both cells are
// too far ahead. Two users would have to meet twice, and one of them be over the rate, for the other to be
// refused as well.
class request_rate {
  public:
    using clock = std::chrono::steady_clock;

    static constexpr std::chrono::seconds ahead_at_most{5};

    // 0: no limit. Throws std::system_error where there is no memory.
    explicit request_rate(unsigned a_second);

    // Counts a request, and gives nothing; or refuses it, and says when one will be taken again.
    [[nodiscard]] std::optional<std::chrono::milliseconds> refuse(std::string_view user,
                                                                  clock::time_point now);

  private:
    // Up to when a cell's requests are paid for, in nanoseconds of the steady clock.
    using cell = std::atomic<std::int64_t>;
    static_assert(cell::is_always_lock_free, "processes share them");

    static constexpr std::size_t row_cells = 65'536;

    [[nodiscard]] cell& cell_of(std::string_view user, std::size_t row);

    const std::int64_t cost_;        // of one request; 0: no limit
    const shared_array<cell> cells_; // each 0 at first: nothing is paid for
};

} // namespace mana::fcgi_worker
