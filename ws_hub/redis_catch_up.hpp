// Tells the channels and the stream of Redis what they do not have: pushes whose worker died before it told
// them, or that Redis did not take from it. What each place has is never guessed. The hub hears the channels
// by its own subscription, and reads the stream back before it adds to it. So a push that Redis took for the
// one and refused for the other gets to the other once, and nothing is told again that is there.
//
// While Redis refuses, it is asked ever more seldom, with one push.
#pragma once

#include "shared/store/notification.hpp"
#include "shared/store/publisher.hpp"
#include "ws_hub/push_ledger.hpp"
#include "ws_hub/told_set.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mana::hub {

class metrics;

class redis_catch_up {
  public:
    using clock = std::chrono::steady_clock;
    static constexpr std::chrono::seconds longest_pause{30};

    /// What is passed by reference outlives it. `ledger`: what the channels told this hub.
    redis_catch_up(const std::string& redis_url, const push_ledger& ledger, metrics& counts);

    /// `pushes` are all that `place` may lack, or the oldest of them, oldest first. Tells it those that it
    /// lacks, and gives how many of all, from the first on, it has by then. Goes on only while `go_on` says
    /// true, which is asked before each round trip.
    std::size_t tell(store::told_place place, const std::vector<store::notification>& pushes,
                     const std::function<bool()>& go_on);
    /// `place` lacks nothing.
    void complete(store::told_place place);
    /// Redis is there again: whatever it refused before may be tried at once.
    void try_at_once();

    /// Whether the last attempt to tell `place` something failed. Any thread.
    [[nodiscard]] bool refuses(store::told_place place) const noexcept { return of(place).failing; }

  private:
    struct place_state {
        explicit place_state(std::size_t most) : told(most) {}
        told_set told; // what it has, as far as that is known by this
        std::atomic<bool> failing = false;
        std::string failure; // the last one that was logged
        clock::time_point next_try{};
        std::chrono::seconds pause{};
    };

    store::publisher publisher_;
    const push_ledger& ledger_;
    metrics& metrics_;
    std::array<place_state, 2> places_; // by told_place
    std::string last_read_;             // id of the stream's last entry that was read
    std::uint64_t read_over_ = 0;       // on which connection

    place_state& of(store::told_place place) { return places_[static_cast<std::size_t>(place)]; }
    [[nodiscard]] const place_state& of(store::told_place place) const {
        return places_[static_cast<std::size_t>(place)];
    }
    [[nodiscard]] bool has(store::told_place place, const store::notification& push) const;
    bool reach(store::told_place place);
    bool read_stream(sync::position from, const std::function<bool()>& go_on);
    void begin_to_read(sync::position from);
    bool tell_some(store::told_place place, const std::vector<store::notification>& some);
    bool failed(store::told_place place, const store::publisher::outcome& why);
};

} // namespace mana::hub
