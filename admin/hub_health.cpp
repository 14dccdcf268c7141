#include "admin/hub_health.hpp"

#include "admin/http_probe.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <string_view>

namespace mana::admin {
namespace {

namespace json = boost::json;

std::int64_t number_in(const json::object& from, std::string_view key) {
    const json::value* const found = from.if_contains(key);
    boost::system::error_code failure;
    return found == nullptr ? 0 : found->to_number<std::int64_t>(failure);
}

bool says(const json::object& from, std::string_view key, const char* what) {
    const json::value* const found = from.if_contains(key);
    return found != nullptr && *found == json::value(what);
}

} // namespace

boost::system::result<hub_health, std::string> health_of_hub(const std::string& socket) {
    using outcome = boost::system::result<hub_health, std::string>;
    const auto reply = send({"http://hub/health", socket, {}, 0});
    if (!reply) return outcome{boost::system::in_place_error, socket + ": " + reply.error()};
    boost::system::error_code failure;
    const json::value parsed = json::parse({reply->body.data(), reply->body.size()}, failure);
    if (reply->status != 200 || failure || !parsed.is_object())
        return outcome{boost::system::in_place_error,
                       socket + ": /health answers " + std::to_string(reply->status) + " and no report"};
    const auto& said = parsed.get_object();
    const bool waits = says(said, "postgres", "standby_missing");
    return hub_health{number_in(said, "connections"),
                      number_in(said, "users"),
                      waits || says(said, "postgres", "up"),
                      waits,
                      says(said, "redis", "up"),
                      says(said, "redis", "refuses")};
}

} // namespace mana::admin
