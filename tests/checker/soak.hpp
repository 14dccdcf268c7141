// The parts at work for a long time, round after round: whether any of them grows.
#pragma once

#include "tests/checker/faults.hpp"
#include "tests/checker/parts/figures.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace mana::checker {

/// Throws std::invalid_argument where a kind of fault starts anew what is watched, or takes the way to it.
void refuse_for_soak(const std::vector<fault>& kinds);

struct soak_means {
    std::chrono::minutes how_long{20};
    std::function<bool(int which)> round; ///< plays one, the first is 0; whether all was well
    std::function<figures()> take;        ///< called from another thread too
    std::function<void(const std::string& line)> say;
};

/// Plays rounds until the time is over, or one fails. The first ones warm all up. Whether all were well and
/// nothing grew.
bool soak(const soak_means& with);

} // namespace mana::checker
