// doctor: the services around us.
#include "admin/doctor_checks.hpp"
#include "admin/output.hpp"
#include "shared/gate/http_fetch.hpp"
#include "shared/gate/key_set.hpp"

#include <boost/json/parse.hpp>
#include <chrono>

namespace mana::admin {
namespace {

constexpr std::chrono::milliseconds answers_within{2'000};

// Nobody's name, for services that ask a table.
constexpr const char* made_up_user = "mana-sync-admin-doctor";

finding keys_finding(gate::http_client& http, const std::string& url) {
    const std::string part = "keys of tokens";
    const std::string to_do =
        "see the issuer of tokens, and JWKS_URL; keys that workers know serve meanwhile";
    const auto reply = http.get(url, answers_within);
    if (!reply) return {verdict::failed, part, reply.error().reason, to_do};
    if (reply->status != 200)
        return {verdict::failed, part, "JWKS_URL answers " + std::to_string(reply->status), to_do};
    const auto keys = gate::parse_jwks(reply->body);
    if (!keys) return {verdict::failed, part, keys.error().reason, to_do};
    if (keys->empty())
        return {verdict::failed, part, "JWKS_URL publishes no Ed25519 key: every token is refused",
                "see the issuer of tokens"};
    const auto number = static_cast<std::int64_t>(keys->size());
    return {verdict::ok, part, count_of(number, "usable key", "usable keys") + " published", {}};
}

bool is_json_object(const std::string& text) {
    boost::system::error_code failure;
    return boost::json::parse(text, failure).is_object();
}

struct service {
    std::string part;
    std::string variable;
    std::string url; // of the question about a made-up user
    std::string without_it;
};

finding service_finding(gate::http_client& http, const service& asked, const std::string& key) {
    const auto reply = http.get(asked.url, answers_within, {"X-Service-Key: " + key});
    const std::string to_do = "see the service, and " + asked.variable + "; " + asked.without_it;
    if (!reply) return {verdict::failed, asked.part, reply.error().reason, to_do};
    const std::string answer = "answers " + std::to_string(reply->status);
    // That it knows no such user is an answer too, where the service says so and not a proxy before it.
    if (reply->status == 200 || (reply->status == 404 && is_json_object(reply->body)))
        return {verdict::ok, asked.part, answer, {}};
    if (reply->status == 404)
        return {verdict::warning, asked.part, answer + ", but not as JSON: perhaps no service said it",
                "see that " + asked.variable + " leads to the service"};
    if (reply->status == 401 || reply->status == 403)
        return {verdict::failed, asked.part, answer + ": it refuses our key", "correct MANA_SERVICE_KEY"};
    return {verdict::failed, asked.part, answer, to_do};
}

} // namespace

findings check_services(const runtime::configuration& settings) {
    gate::http_client http;
    const std::string user = gate::path_segment(made_up_user);
    findings all{keys_finding(http, settings.jwks_url)};
    all.push_back(service_finding(http,
                                  {"billing", "MANA_CREDITS_URL",
                                   settings.mana_credits_url + "/api/v1/internal/sync/status/" + user,
                                   "until then everyone may sync"},
                                  settings.mana_service_key));
    if (settings.mana_auth_url.empty()) {
        all.push_back({verdict::ok, "memberships", "MANA_AUTH_URL is not set: spaces are not shared", {}});
        return all;
    }
    all.push_back(service_finding(http,
                                  {"memberships", "MANA_AUTH_URL",
                                   settings.mana_auth_url + "/api/v1/internal/users/" + user + "/memberships",
                                   "until then the last known ones serve for SPACES_STALE_HOURS"},
                                  settings.mana_service_key));
    return all;
}

} // namespace mana::admin
