// How the tool speaks: one line at a time, in words that need no colour.
#pragma once

#include "shared/sync/time.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace mana::admin {

enum class shade { plain, good, doubtful, bad, faint };

// `text` in a colour where stdout is a terminal that shows some (NO_COLOR is respected), else as it is.
[[nodiscard]] std::string shaded(std::string_view text, shade in);

// What another program chose (a name, an id) as part of a line: as it is, or as a JSON string where it is
// empty or holds something that could be taken for the line's own words, or that a terminal would obey.
[[nodiscard]] std::string printable(std::string_view name);

// "3 s", "4 min", "5 h", "6 days": to read, not to reckon with.
[[nodiscard]] std::string in_words(std::chrono::duration<double> span);

// "1 row", "2 rows": `many` is the plural.
[[nodiscard]] std::string count_of(std::int64_t number, std::string_view one, std::string_view many);

// "2026-01-31T09:00:00.123456Z"
[[nodiscard]] std::string to_text(sync::position at);

} // namespace mana::admin
