// JSON as text: values that are carried along without being looked into, and objects written and read member
// by member. Pure.
#pragma once

#include "shared/sync/json.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace mana::sync {

/// A JSON value as its text, well-formed: as to_json_text writes it, or as PostgreSQL gives it. To merge, to
/// store and to show a value nobody has to look into it; where somebody must, it is read there.
struct value_text {
    std::string text = "null";

    value_text() = default;
    // Implicit on purpose, both ways: it is the same value. Reading throws as parse_stored_json.
    value_text(const json_value& value) : text(to_json_text(value)) {} // NOLINT
    operator json_value() const { return parse_stored_json(text); }    // NOLINT

    static value_text written(std::string_view text);

    /// Whether jsonb would call the two equal. They are read only where their texts differ.
    [[nodiscard]] bool is_same(const value_text& other) const;
};

/// The bytes that a JSON text takes once jsonb has written out its exponents, and put its spaces in.
std::size_t stored_text_size(std::string_view text);

/// Where the string ends whose quote is at `text[at]`: behind its other quote, or at the end of the text.
std::size_t end_of_json_string(std::string_view text, std::size_t at);

/// Appends an object to a text, member by member. The text must outlive it.
class object_writer {
  public:
    explicit object_writer(std::string& out) : out_(out) { out_ += '{'; }
    /// Appends a name; the value is the caller's to append to what comes back.
    std::string& member(std::string_view name);
    void close() { out_ += '}'; }

  private:
    std::string& out_;
};

/// Walks over the members of an object's text, in their order there. What is inside a value is not looked at.
/// The text must outlive it and be JSON: where it cannot go on, it throws std::invalid_argument.
class object_reader {
  public:
    explicit object_reader(std::string_view text);
    /// Goes to the next member; false where there is none.
    bool next();
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] std::string_view value() const { return value_; }

  private:
    std::string_view text_;
    std::size_t at_ = 0;
    bool first_ = true;
    std::string name_;
    std::string_view value_;

    void expect(char wanted);
    char peek();
    std::string_view take_value();
};

/// The string whose JSON text this is. Throws std::invalid_argument where it is no string.
std::string read_json_string(std::string_view text);

} // namespace mana::sync
