// JSON as text: values that are carried along without being looked into, and objects written and read member
// by member. Pure.
#pragma once

#include "shared/sync/json.hpp"

#include <cstddef>
#include <memory>
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

/// Walks over the members of an object's text, in their order there, by simdjson. Values are not looked into.
/// One reader serves any number of objects, one after the other, in the same memory. Not thread-safe.
class object_reader {
  public:
    object_reader();
    ~object_reader();
    object_reader(const object_reader&) = delete;
    object_reader& operator=(const object_reader&) = delete;

    /// Begins with an object. Throws std::invalid_argument, as next() does, where the text is no object; it
    /// need not outlive the call.
    void read(std::string_view object);
    /// Goes to the next member; false where there is none.
    bool next();

    // Of the member; the views live until the next read().
    [[nodiscard]] std::string_view name() const { return name_; }
    [[nodiscard]] std::string_view name_as_written() const {
        return name_as_written_;
    } ///< without its quotes
    [[nodiscard]] std::string_view value() const { return value_; }

  private:
    struct parsing;
    std::unique_ptr<parsing> parsing_;
    std::string_view name_;
    std::string_view name_as_written_;
    std::string_view value_;
};

/// The string whose JSON text this is. Throws std::invalid_argument where it is no string.
std::string read_json_string(std::string_view text);

} // namespace mana::sync
