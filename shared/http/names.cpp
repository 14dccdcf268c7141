#include "shared/http/names.hpp"

#include "shared/sync/json.hpp"

#include <cstddef>
#include <string>

namespace mana::http {
namespace {

constexpr std::size_t longest_app = 128;
constexpr std::string_view app_letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";

} // namespace

bool is_app(std::string_view name) {
    return !name.empty() && name.size() <= longest_app &&
           name.find_first_not_of(app_letters) == std::string_view::npos;
}

// What is UTF-8 is said by the parser that lets names in.
bool is_collection(std::string_view name) {
    std::string as_json;
    sync::append_json_string(as_json, name);
    return !name.empty() && !sync::has_nul(name) && sync::parse_json(as_json, 1).has_value();
}

} // namespace mana::http
