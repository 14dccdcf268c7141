// What holds for every JSON value that was read.
#pragma once

#include "shared/sync/json.hpp"
#include "tests/fuzz/property.hpp"

#include <algorithm>
#include <string>

namespace mana::fuzz {

inline std::size_t depth_of(const sync::json_value& value) {
    std::size_t deepest = 0;
    if (const auto* items = value.as_array()) {
        for (const auto& item : *items) deepest = std::max(deepest, depth_of(item));
        return deepest + 1;
    }
    if (const auto* members = value.as_object()) {
        for (const auto& member : *members) deepest = std::max(deepest, depth_of(member.value));
        return deepest + 1;
    }
    return 0;
}

// Written and read again it is the same, to the last digit of a number.
inline void must_survive_writing(const sync::json_value& value) {
    constexpr std::size_t any_depth = 4'000;
    const std::string text = sync::to_json_text(value);
    const auto again = sync::parse_json(text, any_depth);
    must(again.has_value(), "what was written can be read");
    must(sync::same(*again, value), "what was written is read as the same value");
    must(sync::to_json_text(*again) == text, "and written as the same text");
}

} // namespace mana::fuzz
