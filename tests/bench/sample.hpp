// The change that everything here is measured with: a new note of some 300 bytes, as a to-do app pushes it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mana::bench {

inline constexpr std::string_view sample_table = "notes";

/// As JSON; all its fields claim `at`.
std::string sample_insert(std::string_view id, std::string_view at, int number);
/// An update of three of its fields.
std::string sample_update(std::string_view id, std::string_view at, int number);
/// An update of all of them.
std::string sample_update_of_all(std::string_view id, std::string_view at, int number);

/// The body of a push.
std::string push_body(std::string_view client, std::string_view since,
                      const std::vector<std::string>& changes);

/// Now, as a client claims it.
std::string sample_time();

} // namespace mana::bench
