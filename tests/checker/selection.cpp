#include "tests/checker/selection.hpp"

#include <algorithm>
#include <cstdint>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace mana::checker {

namespace {

constexpr auto members_name = "members";

using numbers = std::set<std::size_t>;

std::string in_words(const numbers& kept) {
    std::string words;
    for (auto at = kept.begin(); at != kept.end();) {
        const auto first = *at;
        auto last = first;
        while (++at != kept.end() && *at == last + 1) ++last;
        words += (words.empty() ? "" : ",") + std::to_string(first);
        if (last > first) words += '-' + std::to_string(last);
    }
    return words;
}

std::size_t number_in(const std::string& text) {
    if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != std::string::npos)
        throw std::invalid_argument("'" + text + "' is no number of a step");
    return std::stoul(text);
}

numbers numbers_in(const std::string& words) {
    numbers kept;
    std::istringstream ranges{words};
    for (std::string range; std::getline(ranges, range, ',');) {
        const auto dash = range.find('-');
        const auto first = number_in(range.substr(0, dash));
        const auto last = dash == std::string::npos ? first : number_in(range.substr(dash + 1));
        for (auto number = first; number <= last; ++number) kept.insert(number);
    }
    return kept;
}

} // namespace

std::string selection_of(const plan& kept) {
    std::string words;
    const auto add = [&](const std::string& name, const numbers& of_name) {
        words += (words.empty() ? "" : " ") + name + ':' + in_words(of_name);
    };
    for (const auto& one : kept.schedules) {
        numbers steps;
        for (const auto& next : one.steps) steps.insert(next.number);
        add(one.client, steps);
    }
    numbers moves;
    for (const auto& one : kept.memberships)
        if (one.after_changes > 0) moves.insert(one.number);
    if (!moves.empty()) add(members_name, moves);
    return words;
}

plan selected(plan whole, const std::string& selection) {
    auto kept = whole;
    kept.schedules.clear();
    numbers moves;
    std::istringstream parts{selection};
    for (std::string part; parts >> part;) {
        const auto colon = part.find(':');
        if (colon == std::string::npos) throw std::invalid_argument("'" + part + "' names no steps");
        const auto name = part.substr(0, colon);
        const auto wanted = numbers_in(part.substr(colon + 1));
        if (name == members_name) {
            moves = wanted;
            continue;
        }
        const auto found = std::ranges::find(whole.schedules, name, &schedule::client);
        if (found == whole.schedules.end()) throw std::invalid_argument("there is no '" + name + "'");
        auto one = std::move(*found);
        whole.schedules.erase(found);
        std::erase_if(one.steps, [&](const step& next) { return !wanted.contains(next.number); });
        kept.schedules.push_back(std::move(one));
    }
    std::erase_if(kept.memberships, [&](const membership_change& one) {
        return one.after_changes > 0 && !moves.contains(one.number);
    });
    return fitted(std::move(kept));
}

plan fitted(plan reduced) {
    const auto before = std::int64_t{std::max(1, reduced.changes)};
    reduced.changes = count_changes(reduced);
    const auto users = users_of(reduced);
    std::erase_if(reduced.memberships,
                  [&](const membership_change& one) { return !std::ranges::binary_search(users, one.user); });
    for (auto& one : reduced.memberships)
        if (one.after_changes > 0)
            one.after_changes =
                1 + static_cast<int>(std::int64_t{one.after_changes - 1} * reduced.changes / before);
    return reduced;
}

} // namespace mana::checker
