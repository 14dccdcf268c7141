// From a plan that fails to the smallest one found that still does. Pure, but for what the caller's test of a
// plan does.
#pragma once

#include "tests/checker/plan.hpp"

#include <functional>
#include <set>
#include <string>

namespace mana::checker {

/// Only the steps that touch these records, who is a member of their spaces, and the exchanges between. Of
/// several exchanges in a row the first that sends, all wipes and the last are left, where `few_exchanges`.
plan touching(const plan& whole, const std::set<std::string>& records, bool few_exchanges);

/// Tries smaller and smaller plans until none of them fails, or `enough` says so, which is asked before each
/// try: without whole schedules, moves of members and steps, many at once and then single ones; then with
/// simpler steps. `fails(failing)` is taken for granted; gives the last plan for which `fails` held, or that
/// one.
plan shrink(plan failing, const std::function<bool(const plan&)>& fails, const std::function<bool()>& enough);

} // namespace mana::checker
