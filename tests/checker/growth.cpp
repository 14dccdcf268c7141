#include "tests/checker/growth.hpp"

#include <algorithm>
#include <numeric>

namespace mana::checker {

namespace {

/// A process keeps what its largest request needed, here and there between what lives longer, and the largest
/// one may come late: with pushes of up to 200 changes that is a few megabytes, once. A leak comes again with
/// each round.
constexpr double may_grow = 0.2;
constexpr double may_grow_each_process = 8 * megabyte;

constexpr double services = 2;               ///< billing and memberships
constexpr double descriptors_of_service = 3; ///< a connection, and two by which libcurl wakes itself

} // namespace

growth growth_of(const std::vector<double>& quiet) {
    if (quiet.empty()) return {};
    const auto count = static_cast<double>(quiet.size());
    const double middle_round = (count - 1) / 2;
    const double mean = std::accumulate(quiet.begin(), quiet.end(), 0.0) / count;
    double together = 0;
    double squares = 0;
    for (std::size_t i = 0; i < quiet.size(); ++i) {
        const double off = static_cast<double>(i) - middle_round;
        together += off * (quiet[i] - mean);
        squares += off * off;
    }
    return {quiet.front(), quiet.back(), squares > 0 ? together / squares : 0};
}

/// A process opens what it needs when it first does, and after a fault again: which have by the end of a
/// round is chance. What is open after any of the first rounds is no leak.
double most_of_count(const std::vector<double>& quiet) {
    const auto warm = std::min(warming_rounds, quiet.size());
    return *std::max_element(quiet.begin(), quiet.begin() + static_cast<std::ptrdiff_t>(warm));
}

double most_descriptors(const std::vector<double>& quiet, std::size_t processes) {
    return most_of_count(quiet) + services * descriptors_of_service * static_cast<double>(processes);
}

double most_memory(double first, std::size_t processes) {
    return first * (1 + may_grow) + may_grow_each_process * static_cast<double>(processes);
}

} // namespace mana::checker
