#include "shared/sync/json_text.hpp"

#include <simdjson.h>

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

namespace od = simdjson::ondemand;

/// simdjson says what is wrong by an exception of its own.
template<class Step>
auto read_or_fail(Step step) {
    try {
        return step();
    } catch (const simdjson::simdjson_error& failed) {
        fail(failed.what());
    }
}

std::string_view trimmed(std::string_view json) {
    return json.substr(0, json.find_last_not_of(" \n\r\t") + 1);
}

/// The whole text of a value.
std::string_view text_of(od::value value) {
    switch (value.type()) {
    case od::json_type::object: {
        od::object whole = value.get_object();
        return whole.raw_json();
    }
    case od::json_type::array: {
        od::array whole = value.get_array();
        return whole.raw_json();
    }
    default:
        return trimmed(value.raw_json_token());
    }
}

/// The name ends with the last quote before the value.
std::string_view name_before(const char* name, std::string_view value) {
    const std::string_view between{name, static_cast<std::size_t>(value.data() - name)};
    const auto quote = between.rfind('"');
    if (quote == std::string_view::npos) fail("a member has no name");
    return between.substr(0, quote);
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

struct object_reader::parsing {
    od::parser parser;
    std::string text; ///< with the room behind it that simdjson reads into
    od::document document;
    od::object object;
    od::object_iterator at;
    od::object_iterator end;
    bool begun = false;
};

object_reader::object_reader() : parsing_(std::make_unique<parsing>()) {}
object_reader::~object_reader() = default;

void object_reader::read(std::string_view object) {
    parsing& on = *parsing_;
    on.text.assign(object);
    on.text.reserve(object.size() + simdjson::SIMDJSON_PADDING);
    on.begun = false;
    read_or_fail([&on] {
        on.document = on.parser.iterate(
            simdjson::padded_string_view(on.text.data(), on.text.size(), on.text.capacity()));
        on.object = on.document.get_object();
        on.at = on.object.begin();
        on.end = on.object.end();
    });
}

bool object_reader::next() {
    return read_or_fail([this] {
        parsing& on = *parsing_;
        if (on.begun) ++on.at;
        on.begun = true;
        if (on.at == on.end) {
            if (on.document.current_location().error() == simdjson::SUCCESS) fail("something follows");
            return false;
        }
        od::field member = *on.at;
        const char* const name = member.key().raw();
        name_ = member.unescaped_key();
        value_ = text_of(member.value());
        name_as_written_ = name_before(name, value_);
        return true;
    });
}

std::string read_json_string(std::string_view text) {
    if (!is_string(text)) fail("a string was expected");
    if (text.find('\\') == std::string_view::npos) return std::string(text.substr(1, text.size() - 2));
    const auto read = parse_stored_json(text);
    if (read.as_string() == nullptr) fail("a string was expected");
    return *read.as_string();
}

} // namespace mana::sync
