// A text[] of PostgreSQL that a statement gives as JSON (to_json): the one form of it that needs no parser of
// our own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mana::store {

/// `json` comes from to_json(text[]), without nulls.
std::vector<std::string> texts_in(std::string_view json);

} // namespace mana::store
