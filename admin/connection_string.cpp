#include "admin/connection_string.hpp"

#include <algorithm>
#include <libpq-fe.h>
#include <memory>
#include <string_view>

namespace mana::admin {
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

} // namespace

std::optional<std::vector<connection_option>> parse_connection_string(const std::string& text) {
    const std::unique_ptr<PQconninfoOption, free_options> parsed{PQconninfoParse(text.c_str(), nullptr)};
    if (!parsed) return std::nullopt;
    std::vector<connection_option> options;
    for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
        if (option->val == nullptr) continue;
        const bool secret = std::string_view{option->dispchar}.find('*') != std::string_view::npos;
        options.push_back({option->keyword, option->val, text_or_empty(option->envvar), secret});
    }
    return options;
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

} // namespace mana::admin
