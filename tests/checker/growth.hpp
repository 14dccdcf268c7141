// Whether something that was looked at when all was quiet, round after round, grew. Pure.
#pragma once

#include <cstddef>
#include <vector>

namespace mana::checker {

constexpr double megabyte = 1'048'576; ///< bytes

/// The first rounds warm all up.
constexpr std::size_t warming_rounds = 5;

struct growth {
    double first = 0;
    double last = 0;
    double a_round = 0; ///< by least squares
};
growth growth_of(const std::vector<double>& quiet);

/// How many connections, or descriptors of programs that ask no services, the last round may leave open.
/// `quiet` is not empty.
double most_of_count(const std::vector<double>& quiet);

/// The same of so many processes that ask services outside, each for the first time when chance has it.
double most_descriptors(const std::vector<double>& quiet, std::size_t processes);

/// How many bytes so many processes together may have after the last round.
double most_memory(double first, std::size_t processes);

} // namespace mana::checker
