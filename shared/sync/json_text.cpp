#include "shared/sync/json_text.hpp"

#include <stdexcept>
#include <utility>

namespace mana::sync {

namespace {

[[noreturn]] void fail(std::string_view what) {
    throw std::invalid_argument("stored JSON cannot be read: " + std::string(what));
}

bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

bool ends_a_word(char c) {
    return c == ',' || c == '}' || c == ']' || c == ':' || is_space(c);
}

std::size_t end_of_word(std::string_view text, std::size_t at) {
    while (at < text.size() && !ends_a_word(text[at])) ++at;
    return at;
}

std::size_t end_of_container(std::string_view text, std::size_t at) {
    std::size_t depth = 0;
    while (at < text.size()) {
        const char c = text[at];
        if (c == '"') {
            at = end_of_json_string(text, at);
            continue;
        }
        ++at;
        if (c == '{' || c == '[') ++depth;
        if ((c == '}' || c == ']') && --depth == 0) return at;
    }
    fail("a container does not end");
}

/// The string between the quotes; nothing where it is no whole string.
bool is_string(std::string_view text) {
    return text.size() >= 2 && text.front() == '"' && text.back() == '"';
}

} // namespace

value_text value_text::written(std::string_view text) {
    value_text value;
    value.text = text;
    return value;
}

bool value_text::is_same(const value_text& other) const {
    return text == other.text || same(*this, other);
}

std::size_t end_of_json_string(std::string_view text, std::size_t at) {
    for (auto quote = text.find('"', at + 1); quote != std::string_view::npos;
         quote = text.find('"', quote + 1)) {
        std::size_t backslashes = 0;
        while (text[quote - 1 - backslashes] == '\\') ++backslashes; // ends at the quote before at the latest
        if (backslashes % 2 == 0) return quote + 1;
    }
    return text.size();
}

std::size_t stored_text_size(std::string_view text) {
    std::size_t size = text.size();
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c == '"') {
            at = end_of_json_string(text, at);
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            const auto end = end_of_word(text, at);
            size += written_out_size(text.substr(at, end - at)) - (end - at);
            at = end;
        } else {
            if (c == ',' || c == ':') ++size;
            ++at;
        }
    }
    return size;
}

std::string& object_writer::member(std::string_view name) {
    if (out_.back() != '{') out_ += ','; // no value ends with this bracket
    append_json_string(out_, name);
    out_ += ':';
    return out_;
}

object_reader::object_reader(std::string_view text) : text_(text) {
    expect('{');
}

bool object_reader::next() {
    if (peek() == '}') {
        ++at_;
        if (text_.find_first_not_of(" \n\t\r", at_) != std::string_view::npos) fail("something follows");
        --at_;
        return false;
    }
    if (!std::exchange(first_, false)) expect(',');
    if (peek() != '"') fail("a name was expected");
    const auto name = take_value();
    if (name.find('\\') == std::string_view::npos)
        name_ = name.substr(1, name.size() - 2);
    else
        name_ = read_json_string(name);
    expect(':');
    peek();
    value_ = take_value();
    return true;
}

void object_reader::expect(char wanted) {
    if (peek() != wanted) fail(std::string("no ") + wanted + " at byte " + std::to_string(at_));
    ++at_;
}

char object_reader::peek() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    if (at_ == text_.size()) fail("it ends too early");
    return text_[at_];
}

std::string_view object_reader::take_value() {
    const auto start = at_;
    const char c = text_[at_];
    if (c == '"')
        at_ = end_of_json_string(text_, at_);
    else
        at_ = c == '{' || c == '[' ? end_of_container(text_, at_) : end_of_word(text_, at_);
    const auto value = text_.substr(start, at_ - start);
    if (value.empty() || (c == '"' && !is_string(value))) fail("a value was expected");
    return value;
}

std::string read_json_string(std::string_view text) {
    if (!is_string(text)) fail("a string was expected");
    if (text.find('\\') == std::string_view::npos) return std::string(text.substr(1, text.size() - 2));
    const auto read = parse_stored_json(text);
    if (read.as_string() == nullptr) fail("a string was expected");
    return *read.as_string();
}

} // namespace mana::sync
