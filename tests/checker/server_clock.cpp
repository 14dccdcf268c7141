#include "tests/checker/server_clock.hpp"

#include <algorithm>

namespace mana::checker {

using sync::instant;

server_clock::server_clock(std::chrono::milliseconds slack)
    : slack_(slack), settings_{{instant::min(), instant::max(), std::chrono::milliseconds{0}}} {}

void server_clock::note(const step& made) {
    settings_.back().until = made.done;
    settings_.push_back({made.begun, instant::max(), made.ahead});
}

span server_clock::during(instant began, instant ended) const {
    span shown{instant::max(), instant::min()};
    for (const auto& one : settings_) {
        if (ended < one.from || began > one.until) continue;
        shown.lo = std::min(shown.lo, began + one.ahead - slack_);
        shown.hi = std::max(shown.hi, std::min(ended, one.until) + one.ahead + slack_);
    }
    return shown;
}

} // namespace mana::checker
