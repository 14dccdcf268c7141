#include "shared/runtime/connection_string.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <libpq-fe.h>
#include <memory>
#include <stdexcept>
#include <string_view>

namespace mana::runtime {
namespace {

struct free_options {
    void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

// As libpq reads it: a backslash before a quote and before itself.
std::string quoted(const std::string& value) {
    const auto needs_quotes = [](char c) { return c == ' ' || c == '\'' || c == '\\'; };
    if (!value.empty() && std::none_of(value.begin(), value.end(), needs_quotes)) return value;
    std::string out = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out + '\'';
}

std::string text_or_empty(const char* text) {
    return text == nullptr ? std::string{} : std::string{text};
}

struct free_message {
    void operator()(char* text) const { PQfreemem(text); }
};

using options = std::vector<connection_option>;
using parts = std::vector<std::string_view>;

[[noreturn]] void refuse(const char* what) {
    throw std::invalid_argument{what};
}

parts split_at_commas(std::string_view text) {
    parts all;
    for (auto comma = text.find(','); comma != std::string_view::npos; comma = text.find(',')) {
        all.push_back(text.substr(0, comma));
        text.remove_prefix(comma + 1);
    }
    all.push_back(text);
    return all;
}

bool is_port(std::string_view text) {
    unsigned number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    return failure == std::errc{} && stop == end && number >= 1 && number <= 65'535;
}

/// A name, an address or the folder of a socket (an abstract one begins with @).
bool is_host(std::string_view text) {
    constexpr std::string_view letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%";
    return text.empty() || text.front() == '/' || text.front() == '@' ||
           text.find_first_not_of(letters) == std::string_view::npos;
}

// libpq's own words repeat the text, a password too.
std::string_view what_is_wrong(std::string_view said) {
    if (said.find("percent-encoded") != std::string_view::npos)
        return "has a percent sign that begins no escape; as a character it is %25";
    if (said.find("connection option") != std::string_view::npos ||
        said.find("query parameter") != std::string_view::npos)
        return "has an option that libpq does not know, or cannot read";
    return "cannot be read by libpq";
}

void check_form(const std::string& text) {
    char* said = nullptr;
    const std::unique_ptr<PQconninfoOption, free_options> parsed{PQconninfoParse(text.c_str(), &said)};
    const std::unique_ptr<char, free_message> message{said};
    if (!parsed) throw std::invalid_argument{std::string{what_is_wrong(text_or_empty(said))}};
}

void check_at_signs(std::string_view text) {
    const auto scheme = text.find("://");
    if (!text.starts_with("postgres") || scheme == std::string_view::npos) return;
    text.remove_prefix(scheme + 3);
    text = text.substr(0, text.find('?'));
    const auto last = text.rfind('@');
    if (last == std::string_view::npos) return;
    if (text.find('@') != last || text.find('/') < last)
        refuse("has an @ or / that no user or password may hold; in those they are %40 and %2F");
}

void check_hosts(const options& all) {
    const std::string host = value_of(all, "host");
    const std::string address = value_of(all, "hostaddr");
    const std::string port = value_of(all, "port");
    const auto hosts = split_at_commas(address.empty() ? host : address);
    const auto ports = split_at_commas(port);
    if (!std::ranges::all_of(split_at_commas(host), is_host)) refuse("has a host that is none");
    if (!std::ranges::all_of(ports, [](auto each) { return each.empty() || is_port(each); }))
        refuse("has a port that is none");
    if (ports.size() > 1 && ports.size() != hosts.size()) refuse("has more or fewer ports than hosts");
}

void check_sslmode(const std::string& mode) {
    constexpr std::array modes{"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
    if (std::ranges::find(modes, mode) == modes.end()) refuse("has an sslmode that is none");
}

} // namespace

void check_connection_string(const std::string& text) {
    check_form(text);
    check_at_signs(text);
    const auto read = parse_connection_string(text);
    if (!read) refuse("cannot be read by libpq");
    check_hosts(*read);
    check_sslmode(value_of(*read, "sslmode"));
}

std::optional<std::vector<connection_option>> parse_connection_string(const std::string& text) {
    const std::unique_ptr<PQconninfoOption, free_options> parsed{PQconninfoParse(text.c_str(), nullptr)};
    if (!parsed) return std::nullopt;
    options found;
    for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
        if (option->val == nullptr) continue;
        const bool secret = std::string_view{option->dispchar}.find('*') != std::string_view::npos;
        found.push_back({option->keyword, option->val, text_or_empty(option->envvar), secret});
    }
    return found;
}

std::string without_secrets(const std::vector<connection_option>& options) {
    std::string text;
    for (const auto& option : options) {
        if (option.secret) continue;
        if (!text.empty()) text += ' ';
        text.append(option.keyword).append("=").append(quoted(option.value));
    }
    return text;
}

bool has_secrets(const std::vector<connection_option>& options) {
    return std::any_of(options.begin(), options.end(), [](const auto& option) { return option.secret; });
}

std::string value_of(const std::vector<connection_option>& options, const std::string& keyword) {
    const auto found = std::find_if(options.begin(), options.end(),
                                    [&](const auto& option) { return option.keyword == keyword; });
    return found == options.end() ? std::string{} : found->value;
}

} // namespace mana::runtime
