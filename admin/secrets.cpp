#include "admin/secrets.hpp"

#include "shared/runtime/connection_string.hpp"
#include "shared/runtime/shown_url.hpp"

namespace mana::admin {
namespace {

constexpr const char* mask = "***";

bool is_url(std::string_view name) {
    return name.ends_with("_URL");
}

std::string masked_database(const std::string& value) {
    const auto read = runtime::parse_connection_string(value);
    if (!read) return mask;
    const auto shown = runtime::without_secrets(*read);
    return runtime::has_secrets(*read) ? shown + " password=" + mask : shown;
}

} // namespace

std::string masked(std::string_view name, const std::string& value) {
    if (value.empty()) return value;
    if (name == "DATABASE_URL" || name == "MIGRATE_DATABASE_URL") return masked_database(value);
    if (is_url(name)) return runtime::shown_url(value);
    const bool secret = name.find("KEY") != std::string_view::npos && name != "KEYS_FILE";
    return secret || name.find("PASSWORD") != std::string_view::npos ? mask : value;
}

} // namespace mana::admin
