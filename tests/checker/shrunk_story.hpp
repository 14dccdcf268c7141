// After a run that failed: the smallest plan found that still fails, told so that a person can follow it.
#pragma once

#include "tests/checker/plan.hpp"
#include "tests/checker/round.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace mana::checker {

/// Plays smaller plans than `whole`, which failed as `failed` tells, for about so long: first one device
/// after the other, then as `how` says, without faults where that fails too. Lines: the plan, its own first
/// fault and story, and how to play it again; or that nothing smaller failed.
std::vector<std::string> tell_smallest(const plan& whole, const outcome& failed, const manner& how,
                                       const server_parts& server, std::chrono::seconds longest);

} // namespace mana::checker
