// Which steps of a plan are kept, in words that can be given again: "u0A:3,5-7 u1program:2 members:4".
#pragma once

#include "tests/checker/plan.hpp"

#include <string>

namespace mana::checker {

/// By the numbers that the plan's steps and memberships had when it was made. Memberships from the beginning
/// are not named: they are kept wherever their user has a schedule.
std::string selection_of(const plan& kept);

/// What is left of the plan. Throws std::invalid_argument where `selection` can't be read.
plan selected(plan whole, const std::string& selection);

/// Of a plan of which something was left out: counts its changes anew, and lets its memberships change
/// earlier by as much. Those of users who have no schedule any more are left out.
plan fitted(plan reduced);

} // namespace mana::checker
