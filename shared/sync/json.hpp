// JSON values that are stored and shown exactly as they came. Boost.JSON reads the text; numbers keep their
// digits, which a double would lose.
//
// Pure: no I/O. Values are plain data, safe to use from any thread that owns them.
#pragma once

#include <boost/system/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace mana::sync {

struct json_member;

/// A number as its JSON text, e.g. "1e-300" or "9007199254740993".
struct json_number {
    std::string text;
};

/// What stands in for a container nested deeper than the parser was told to allow.
struct json_too_deep {};

using json_array = std::vector<struct json_value>;
/// Members in ascending byte order of their keys, each key once (of equal keys the last in the text, as
/// jsonb).
using json_object = std::vector<json_member>;

struct json_value {
    std::variant<std::nullptr_t, bool, json_number, std::string, json_array, json_object, json_too_deep> held;

    json_value();
    // Implicit on purpose: a JSON value is written down as the value itself.
    json_value(std::string text);    // NOLINT
    json_value(json_array items);    // NOLINT
    json_value(json_object members); // NOLINT

    [[nodiscard]] bool is_null() const { return std::holds_alternative<std::nullptr_t>(held); }
    /// Null where the value is of another kind. The pointers live as long as the value.
    [[nodiscard]] const std::string* as_string() const { return std::get_if<std::string>(&held); }
    [[nodiscard]] const json_number* as_number() const { return std::get_if<json_number>(&held); }
    [[nodiscard]] const json_array* as_array() const { return std::get_if<json_array>(&held); }
    [[nodiscard]] const json_object* as_object() const { return std::get_if<json_object>(&held); }
};

struct json_member {
    std::string key;
    json_value value;
};

/// Why a text is no JSON: one line, with the byte offset.
struct json_error {
    std::string message;
};

/// Reads one JSON text (UTF-8). Lone surrogates become U+FFFD; a container deeper than `max_depth` levels
/// becomes json_too_deep, so that only the change that holds it is refused (SPEC §6).
boost::system::result<json_value, json_error> parse_json(std::string_view text, std::size_t max_depth);

/// Reads what PostgreSQL gave as jsonb, of any depth that jsonb holds. Throws std::invalid_argument on no
/// JSON, which would be a defect of ours.
json_value parse_stored_json(std::string_view text);

/// Compact JSON text; numbers as they came.
std::string to_json_text(const json_value& value);
void append_json_text(std::string& out, const json_value& value);
void append_json_string(std::string& out, std::string_view text);

/// What keeps a value from being stored as jsonb and read by every client (SPEC §6).
enum class json_fault { none, nul_character, number_out_of_range, too_deep };
json_fault find_fault(const json_value& value);
bool has_nul(std::string_view text);

/// The bytes that the value takes as text once jsonb has written out its exponents: `1e308` takes 309.
std::size_t stored_size(const json_value& value);
/// The same of a number's text.
std::size_t written_out_size(std::string_view number);

/// Whether jsonb would call the two equal: 1.0 is 1, the order of keys does not matter.
bool same(const json_value& left, const json_value& right);

/// JavaScript's truth: null, false, 0 and "" are false.
bool truthy(const json_value& value);

/// The member's value, or null where there is none.
const json_value* find_member(const json_object& object, std::string_view key);

/// Sets a member, keeping the order of keys.
void set_member(json_object& object, std::string key, json_value value);

} // namespace mana::sync
