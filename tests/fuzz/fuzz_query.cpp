// The query string of pull and stream, against a second decoder that knows nothing of Boost.URL.
#include "shared/http/names.hpp"
#include "shared/http/query.hpp"
#include "tests/fuzz/property.hpp"
#include "ws_hub/stream_request.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace mana::fuzz {
namespace {

constexpr std::string_view hex = "0123456789abcdef";

std::string percent_encoded(std::string_view text) {
    std::string out;
    for (const char letter : text) {
        const auto byte = static_cast<unsigned char>(letter);
        out.append(1, '%').append(1, hex[byte >> 4U]).append(1, hex[byte & 0xfU]);
    }
    return out;
}

std::optional<unsigned> digit_of(char letter) {
    const auto lower = letter >= 'A' && letter <= 'F' ? static_cast<char>(letter - 'A' + 'a') : letter;
    const auto found = hex.find(lower);
    return found == std::string_view::npos ? std::nullopt : std::optional{static_cast<unsigned>(found)};
}

// Nothing where a percent sign starts no escape.
std::optional<std::string> decoded(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            out += text[at] == '+' ? ' ' : text[at];
            continue;
        }
        const auto high = at + 2 < text.size() ? digit_of(text[at + 1]) : std::nullopt;
        const auto low = at + 2 < text.size() ? digit_of(text[at + 2]) : std::nullopt;
        if (!high || !low) return std::nullopt;
        out += static_cast<char>(*high << 4U | *low);
        at += 2;
    }
    return out;
}

// Each name's first value, found by cutting the text at its ampersands.
void must_be_what_it_says(std::string_view encoded, const http::query_parameters& query) {
    if (encoded.empty()) return;
    std::string names_before = "&";
    while (true) {
        const auto end = std::min(encoded.find('&'), encoded.size());
        const auto part = encoded.substr(0, end);
        const auto equals = std::min(part.find('='), part.size());
        const auto name = decoded(part.substr(0, equals));
        must(name.has_value(), "a broken escape is refused");
        const auto value = decoded(part.substr(std::min(equals + 1, part.size())));
        must(value.has_value(), "a broken escape is refused");
        const auto marked = percent_encoded(*name) + '&';
        const bool is_first = names_before.find('&' + marked) == std::string::npos;
        if (is_first) must(query.find(*name) == *value, "a parameter is what the text says");
        names_before += marked;
        if (end == encoded.size()) return;
        encoded.remove_prefix(end + 1);
    }
}

void check_query(std::string_view text) {
    const auto query = http::parse_query(text);
    if (query)
        must_be_what_it_says(text, *query);
    else
        must(!decoded(text), "what is encoded well is read");
}

void check_any_bytes(std::string_view text) {
    const auto query = http::parse_query("a=1&" + percent_encoded(text) + "x=" + percent_encoded(text));
    must(query.has_value(), "every name and value can be sent");
    must(query->find(std::string{text} + 'x') == text, "and comes out as it went in");
}

void check_stream(std::string_view text) {
    const auto wanted = hub::parse_stream_request({"todo", text, "phone", ""}, 500);
    if (!wanted) return;
    must(wanted->tables.size() <= hub::collections_at_most, "a stream is of a bounded number of tables");
    must(std::ranges::all_of(wanted->tables, http::is_collection), "each can be asked of PostgreSQL");
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = mana::fuzz::text_of(data, size);
    mana::fuzz::check_query(text);
    mana::fuzz::check_any_bytes(text);
    mana::fuzz::check_stream(text);
    return 0;
}
