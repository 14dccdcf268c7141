// A text[] of PostgreSQL that travels as JSON (to_json, jsonb_array_elements_text): the one form of it that
// needs no parser of our own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mana::store {

/// `json` comes from to_json(text[]), without nulls.
std::vector<std::string> texts_in(std::string_view json);

std::string texts_as_json(std::span<const std::string> texts);

} // namespace mana::store
