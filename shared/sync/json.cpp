#include "shared/sync/json.hpp"

#include "shared/sync/json_text.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <stdexcept>

namespace mana::sync {

json_value::json_value() : held(nullptr) {}
json_value::json_value(std::string text) : held(std::move(text)) {}
json_value::json_value(json_array items) : held(std::move(items)) {}
json_value::json_value(json_object members) : held(std::move(members)) {}

namespace {

namespace bj = boost::json;

// No text of JSON can hold this string but by the escape of NUL, which is refused anyway.
constexpr std::string_view too_deep_mark{"\0too deep", 9};
constexpr std::string_view too_deep_text = R"("\u0000too deep")";

/// Builds a json_value from Boost's events. Boost hands over the last part of each string and number with the
/// event that ends it, and counts the members of a container.
struct tree_builder {
    static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
    static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

    std::vector<bool> inside_object; ///< of each open container, whether it is an object
    /// What waits for its container to end, inner ones last, so that each container is made in its size. In
    /// an object the key comes first, and its value is set when it is there.
    std::vector<json_member> waiting;
    std::vector<json_member*> in_order; ///< of the object that ends
    std::string text;                   ///< the parts so far of a string, a key or a number

    json_value& root() { return waiting.front().value; }

    void add(json_value value) {
        if (!inside_object.empty() && inside_object.back())
            waiting.back().value = std::move(value);
        else
            waiting.push_back({{}, std::move(value)});
    }
    std::string take(bj::string_view last) {
        if (text.empty()) return {last.data(), last.size()};
        text.append(last.data(), last.size());
        return std::exchange(text, {});
    }
    bool number(bj::string_view last) {
        json_value value;
        value.held = json_number{take(last)};
        add(std::move(value));
        return true;
    }

    bool on_document_begin(bj::error_code& /*ec*/) { return true; }
    bool on_document_end(bj::error_code& /*ec*/) { return true; }
    bool on_object_begin(bj::error_code& /*ec*/) {
        inside_object.push_back(true);
        return true;
    }
    bool on_object_end(std::size_t count, bj::error_code& /*ec*/) {
        auto members = take_members(count);
        inside_object.pop_back();
        add(std::move(members));
        return true;
    }
    bool on_array_begin(bj::error_code& /*ec*/) {
        inside_object.push_back(false);
        return true;
    }
    bool on_array_end(std::size_t count, bj::error_code& /*ec*/) {
        const auto first = waiting.end() - static_cast<std::ptrdiff_t>(count);
        json_array items;
        items.reserve(count);
        for (auto item = first; item != waiting.end(); ++item) items.push_back(std::move(item->value));
        waiting.erase(first, waiting.end());
        inside_object.pop_back();
        add(std::move(items));
        return true;
    }
    bool on_key_part(bj::string_view part, std::size_t /*n*/, bj::error_code& /*ec*/) {
        text.append(part.data(), part.size());
        return true;
    }
    bool on_key(bj::string_view last, std::size_t /*n*/, bj::error_code& /*ec*/) {
        waiting.push_back({take(last), {}});
        return true;
    }
    bool on_string_part(bj::string_view part, std::size_t /*n*/, bj::error_code& /*ec*/) {
        text.append(part.data(), part.size());
        return true;
    }
    bool on_string(bj::string_view last, std::size_t /*n*/, bj::error_code& /*ec*/) {
        auto whole = take(last);
        json_value value;
        if (whole == too_deep_mark)
            value.held = json_too_deep{};
        else
            value.held = std::move(whole);
        add(std::move(value));
        return true;
    }
    bool on_number_part(bj::string_view part, bj::error_code& /*ec*/) {
        text.append(part.data(), part.size());
        return true;
    }
    bool on_int64(std::int64_t /*i*/, bj::string_view last, bj::error_code& /*ec*/) { return number(last); }
    bool on_uint64(std::uint64_t /*u*/, bj::string_view last, bj::error_code& /*ec*/) { return number(last); }
    bool on_double(double /*d*/, bj::string_view last, bj::error_code& /*ec*/) { return number(last); }
    bool on_bool(bool held, bj::error_code& /*ec*/) {
        json_value value;
        value.held = held;
        add(std::move(value));
        return true;
    }
    bool on_null(bj::error_code& /*ec*/) {
        add({});
        return true;
    }
    bool on_comment_part(bj::string_view /*part*/, bj::error_code& /*ec*/) { return true; }
    bool on_comment(bj::string_view /*last*/, bj::error_code& /*ec*/) { return true; }

    /// The last `count` that wait, by their keys; of equal ones the last.
    json_object take_members(std::size_t count) {
        const auto first = waiting.end() - static_cast<std::ptrdiff_t>(count);
        in_order.clear();
        for (auto member = first; member != waiting.end(); ++member) in_order.push_back(&*member);
        // Those of one key stay in their order: they lie in it.
        std::ranges::sort(in_order, [](const json_member* left, const json_member* right) {
            const auto order = left->key.compare(right->key);
            return order != 0 ? order < 0 : left < right;
        });
        json_object members;
        members.reserve(count);
        for (auto* member : in_order) {
            if (!members.empty() && members.back().key == member->key) members.pop_back();
            members.push_back(std::move(*member));
        }
        waiting.erase(first, waiting.end());
        return members;
    }
};

std::optional<unsigned> hex4(std::string_view text, std::size_t at) {
    if (at + 4 > text.size()) return std::nullopt;
    unsigned unit = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 4, unit, 16);
    if (error != std::errc{} || end != text.data() + at + 4) return std::nullopt;
    return unit;
}

bool is_high(unsigned unit) {
    return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(unsigned unit) {
    return unit >= 0xDC00 && unit < 0xE000;
}

/// Copies one escape that starts at `text[at]` (a backslash), a lone surrogate as U+FFFD. Returns where it
/// ends.
std::size_t copy_escape(std::string_view text, std::size_t at, std::string& out) {
    const bool is_unicode = at + 1 < text.size() && text[at + 1] == 'u';
    const auto unit = is_unicode ? hex4(text, at + 2) : std::nullopt;
    if (!unit) {
        out.append(text.substr(at, 2));
        return std::min(at + 2, text.size());
    }
    if (is_high(*unit) && text.substr(at + 6, 2) == "\\u") {
        const auto next = hex4(text, at + 8);
        if (next && is_low(*next)) {
            out.append(text.substr(at, 12));
            return at + 12;
        }
    }
    if (is_high(*unit) || is_low(*unit))
        out.append("\\ufffd");
    else
        out.append(text.substr(at, 6));
    return at + 6;
}

bool begins_exponent(char c) {
    return c == 'e' || c == 'E';
}

/// The digits of the exponent that begins at `text[at]`; none where no number goes on there.
std::string_view exponent_digits(std::string_view text, std::size_t at) {
    auto rest = text.substr(at + 1);
    if (rest.starts_with('+') || rest.starts_with('-')) rest.remove_prefix(1);
    return rest.substr(0, rest.find_first_not_of("0123456789"));
}

/// Longer ones may be beyond an int.
constexpr std::string_view largest_exponent = "999999999";

bool has_long_exponent(std::string_view text, std::size_t at) {
    return exponent_digits(text, at).size() > largest_exponent.size();
}

/// Copies a long exponent that begins at `text[at]`, without leading zeros, as one that is no less beyond
/// every double. Returns where it ends.
std::size_t copy_exponent(std::string_view text, std::size_t at, std::string& out) {
    const auto digits = exponent_digits(text, at);
    const auto start = static_cast<std::size_t>(digits.data() - text.data());
    out.append(text.substr(at, start - at));
    const auto shortened = digits.substr(std::min(digits.find_first_not_of('0'), digits.size() - 1));
    out.append(shortened.size() > largest_exponent.size() ? largest_exponent : shortened);
    return start + digits.size();
}

/// One pass over the text before Boost reads it, since Boost refuses a lone surrogate and an exponent beyond
/// an int and recurses into depth: mends the first two and cuts out the third.
std::string mend(std::string_view text, std::size_t max_depth) {
    std::string out;
    out.reserve(text.size());
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        const bool cut = depth > max_depth;
        if (in_string && c == '\\') {
            std::string skipped;
            at = copy_escape(text, at, cut ? skipped : out);
            continue;
        }
        if (!in_string && !cut && begins_exponent(c) && has_long_exponent(text, at)) {
            at = copy_exponent(text, at, out);
            continue;
        }
        ++at;
        if (c == '"') in_string = !in_string;
        if (!in_string && (c == '[' || c == '{') && ++depth == max_depth + 1) out.append(too_deep_text);
        if (depth <= max_depth) out.push_back(c);
        if (!in_string && (c == ']' || c == '}') && depth > 0) --depth;
    }
    return out;
}

bool may_have_surrogates(std::string_view text) {
    return text.find("\\ud") != std::string_view::npos || text.find("\\uD") != std::string_view::npos;
}

bool needs_mending(std::string_view text, std::size_t max_depth) {
    if (may_have_surrogates(text)) return true;
    std::size_t depth = 0;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        if (c == '"') {
            at = end_of_json_string(text, at);
            continue;
        }
        if (c == '[' || c == '{') {
            if (++depth > max_depth) return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        } else if (begins_exponent(c) && has_long_exponent(text, at)) {
            return true;
        }
        ++at;
    }
    return false;
}

/// A number as sign, significant digits and the power of ten of the last digit: equal numbers, equal parts.
struct decimal {
    bool negative = false;
    std::string digits;
    long exponent = 0;

    explicit decimal(std::string_view text) {
        negative = text.starts_with('-');
        if (negative) text.remove_prefix(1);
        const auto e = text.find_first_of("eE");
        if (e != std::string_view::npos) exponent = read_exponent(text.substr(e + 1));
        bool after_point = false;
        for (const char c : text.substr(0, e)) {
            if (c == '.') {
                after_point = true;
                continue;
            }
            if (after_point) --exponent;
            if (c != '0' || !digits.empty()) digits.push_back(c);
        }
        while (!digits.empty() && digits.back() == '0') {
            digits.pop_back();
            ++exponent;
        }
        if (!digits.empty()) return;
        negative = false;
        exponent = 0;
    }
    static long read_exponent(std::string_view text) {
        if (text.starts_with('+')) text.remove_prefix(1);
        long exponent = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), exponent);
        constexpr long beyond_any_number = 1'000'000'000;
        if (error == std::errc::result_out_of_range)
            return text.starts_with('-') ? -beyond_any_number : beyond_any_number;
        return std::clamp(exponent, -beyond_any_number, beyond_any_number);
    }
    bool operator==(const decimal&) const = default;
};

long exponent_of(std::string_view text) {
    const auto e = text.find_first_of("eE");
    return e == std::string_view::npos ? 0 : decimal::read_exponent(text.substr(e + 1));
}

/// The digits after the point once jsonb has written the exponent out, which it does for a zero too.
long written_fraction(std::string_view text) {
    const auto number = text.substr(0, text.find_first_of("eE"));
    const auto point = std::min(number.find('.'), number.size() - 1);
    return static_cast<long>(number.size() - 1 - point) - exponent_of(text);
}

/// jsonb keeps a numeric with at most 16,383 digits after the point; every client reads a double.
bool out_of_range(std::string_view text) {
    constexpr std::size_t most_digits = 16'000;
    constexpr long most_fraction = 16'383;
    if (text.size() > most_digits || written_fraction(text) > most_fraction) return true;
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error != std::errc{} && !decimal(text).digits.empty();
}

template<class... Cases>
struct overloaded : Cases... {
    using Cases::operator()...;
};
template<class... Cases>
overloaded(Cases...) -> overloaded<Cases...>;

} // namespace

boost::system::result<json_value, json_error> parse_json(std::string_view text, std::size_t max_depth) {
    std::string mended;
    if (needs_mending(text, max_depth)) {
        mended = mend(text, max_depth);
        text = mended;
    }
    bj::parse_options options;
    options.max_depth = max_depth + 1;
    bj::basic_parser<tree_builder> parser(options);
    bj::error_code error;
    const auto read = parser.write_some(false, text.data(), text.size(), error);
    if (!error && read < text.size()) error = bj::error::extra_data;
    if (error) return json_error{error.message() + " at byte " + std::to_string(read)};
    return std::move(parser.handler().root());
}

json_value parse_stored_json(std::string_view text) {
    constexpr std::size_t deeper_than_we_store = 4'000;
    auto parsed = parse_json(text, deeper_than_we_store);
    if (!parsed) throw std::invalid_argument("stored JSON cannot be read: " + parsed.error().message);
    return std::move(*parsed);
}

void append_json_string(std::string& out, std::string_view text) {
    const auto plain = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\'; };
    if (std::ranges::all_of(text, plain)) {
        out.append(1, '"').append(text).append(1, '"');
        return;
    }
    out += bj::serialize(bj::string_view(text.data(), text.size()));
}

void append_json_text(std::string& out, const json_value& value) {
    std::visit(overloaded{
                   [&](std::nullptr_t) { out += "null"; },
                   [&](bool held) { out += held ? "true" : "false"; },
                   [&](const json_number& number) { out += number.text; },
                   [&](const std::string& text) { append_json_string(out, text); },
                   [&](const json_array& items) {
                       out += '[';
                       for (const auto& item : items) {
                           if (&item != &items.front()) out += ',';
                           append_json_text(out, item);
                       }
                       out += ']';
                   },
                   [&](const json_object& members) {
                       out += '{';
                       for (const auto& member : members) {
                           if (&member != &members.front()) out += ',';
                           append_json_string(out, member.key);
                           out += ':';
                           append_json_text(out, member.value);
                       }
                       out += '}';
                   },
                   [&](json_too_deep) { out += "null"; },
               },
               value.held);
}

std::string to_json_text(const json_value& value) {
    std::string out;
    append_json_text(out, value);
    return out;
}

bool has_nul(std::string_view text) {
    return text.find('\0') != std::string_view::npos;
}

json_fault find_fault(const json_value& value) {
    if (const auto* text = value.as_string())
        return has_nul(*text) ? json_fault::nul_character : json_fault::none;
    if (const auto* number = value.as_number())
        return out_of_range(number->text) ? json_fault::number_out_of_range : json_fault::none;
    if (std::holds_alternative<json_too_deep>(value.held)) return json_fault::too_deep;
    if (const auto* items = value.as_array()) {
        for (const auto& item : *items)
            if (const auto fault = find_fault(item); fault != json_fault::none) return fault;
    }
    if (const auto* members = value.as_object()) {
        for (const auto& member : *members) {
            if (has_nul(member.key)) return json_fault::nul_character;
            if (const auto fault = find_fault(member.value); fault != json_fault::none) return fault;
        }
    }
    return json_fault::none;
}

std::size_t written_out_size(std::string_view text) {
    const auto e = text.find_first_of("eE");
    if (e == std::string_view::npos) return text.size();
    const long exponent = std::clamp(exponent_of(text), -20'000L, 20'000L);
    return e + static_cast<std::size_t>(std::abs(exponent)) + 2;
}

std::size_t stored_size(const json_value& value) {
    if (const auto* text = value.as_string()) return text->size() + 2;
    if (const auto* number = value.as_number()) return written_out_size(number->text);
    std::size_t size = 5;
    if (const auto* items = value.as_array())
        for (const auto& item : *items) size += stored_size(item) + 2;
    if (const auto* members = value.as_object())
        for (const auto& member : *members) size += member.key.size() + 6 + stored_size(member.value);
    return size;
}

bool same(const json_value& left, const json_value& right) {
    if (left.held.index() != right.held.index()) return false;
    const auto same_member = [](const json_member& a, const json_member& b) {
        return a.key == b.key && same(a.value, b.value);
    };
    return std::visit(overloaded{
                          [](std::nullptr_t) { return true; },
                          [&](bool held) { return held == std::get<bool>(right.held); },
                          [&](const json_number& number) {
                              const auto& other = std::get<json_number>(right.held).text;
                              return number.text == other || decimal(number.text) == decimal(other);
                          },
                          [&](const std::string& text) { return text == std::get<std::string>(right.held); },
                          [&](const json_array& items) {
                              return std::ranges::equal(items, std::get<json_array>(right.held), same);
                          },
                          [&](const json_object& members) {
                              return std::ranges::equal(members, std::get<json_object>(right.held),
                                                        same_member);
                          },
                          [](json_too_deep) { return true; },
                      },
                      left.held);
}

bool truthy(const json_value& value) {
    if (value.is_null()) return false;
    if (const auto* held = std::get_if<bool>(&value.held)) return *held;
    if (const auto* number = value.as_number()) return !decimal(number->text).digits.empty();
    if (const auto* text = value.as_string()) return !text->empty();
    return true;
}

const json_value* find_member(const json_object& object, std::string_view key) {
    const auto found = std::ranges::lower_bound(object, key, std::ranges::less{},
                                                [](const json_member& m) { return std::string_view(m.key); });
    return found != object.end() && found->key == key ? &found->value : nullptr;
}

void set_member(json_object& object, std::string key, json_value value) {
    const auto place = std::ranges::lower_bound(object, std::string_view(key), std::ranges::less{},
                                                [](const json_member& m) { return std::string_view(m.key); });
    if (place != object.end() && place->key == key)
        place->value = std::move(value);
    else
        object.insert(place, {std::move(key), std::move(value)});
}

} // namespace mana::sync
