#include "admin/secrets.hpp"

#include "admin/connection_string.hpp"

#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>

namespace mana::admin {
namespace {

constexpr const char* mask = "***";

bool is_url(std::string_view name) {
    return name.ends_with("_URL");
}

// The user of a URL without a password may be a secret too: a token, as some services have it.
std::string masked_url(const std::string& value) {
    const auto parsed = boost::urls::parse_uri(value);
    if (!parsed) return mask;
    boost::urls::url shown{*parsed};
    if (shown.has_password())
        shown.set_password(mask);
    else if (shown.has_userinfo())
        shown.set_userinfo(mask);
    return {shown.buffer().data(), shown.buffer().size()};
}

std::string masked_database(const std::string& value) {
    const auto read = parse_connection_string(value);
    if (!read) return mask;
    const auto shown = without_secrets(*read);
    return has_secrets(*read) ? shown + " password=" + mask : shown;
}

} // namespace

std::string masked(std::string_view name, const std::string& value) {
    if (value.empty()) return value;
    if (name == "DATABASE_URL" || name == "MIGRATE_DATABASE_URL") return masked_database(value);
    if (is_url(name)) return masked_url(value);
    const bool secret = name.find("KEY") != std::string_view::npos && name != "KEYS_FILE";
    return secret || name.find("PASSWORD") != std::string_view::npos ? mask : value;
}

} // namespace mana::admin
