#include "shared/gate/user_service.hpp"

#include <boost/json/parse.hpp>
#include <utility>

namespace mana::gate {

namespace log = runtime::log;
using outcome = user_answer::outcome;

namespace {

bool is_json_object(const std::string& text) {
    boost::system::error_code failure;
    return boost::json::parse(text, failure).is_object();
}

} // namespace

user_service::user_service(std::string_view name, std::string base_url, const std::string& service_key)
    : name_{name}, base_url_{std::move(base_url)}, key_header_{"X-Service-Key: " + service_key} {}

user_answer user_service::ask(const std::string& path, clock::time_point now) {
    if (away_until_ && now < *away_until_) return {};
    auto reply = http_.get(base_url_ + path, answers_within, {key_header_});
    if (reply) return read(std::move(*reply), now);
    if (!reply.error().too_large) return away(reply.error().reason, now);
    back();
    unusable(reply.error().reason, now);
    return {outcome::unusable, {}};
}

user_answer user_service::read(http_reply reply, clock::time_point now) {
    const std::string reason = "status " + std::to_string(reply.status);
    if (reply.status >= 500) return away(reason, now);
    back();
    switch (reply.status) {
    case 200:
        return {outcome::said, std::move(reply.body)};
    case 404:
    case 410:
        // A proxy that has lost its way to the service says 404 too, in its own words.
        if (is_json_object(reply.body)) {
            knows_no_user(reason, now);
            return {outcome::unknown, {}};
        }
        unusable(reason + ", which is not said in JSON", now);
        break;
    case 401:
    case 403:
        refuses_key(reason, now);
        break;
    default:
        unusable(reason, now);
    }
    return {outcome::unusable, {}};
}

user_answer user_service::away(std::string_view reason, clock::time_point now) {
    if (!away_until_) log::warn("service_down", {{"service", name_}, {"reason", reason}});
    away_until_ = now + answers_within + pause;
    return {};
}

void user_service::back() {
    if (std::exchange(away_until_, std::nullopt)) log::info("service_up", {{"service", name_}});
}

void user_service::refuses_key(std::string_view reason, clock::time_point now) {
    if (const auto suppressed = refusals_.admit(now))
        log::error("service_refuses_key", {{"service", name_},
                                           {"reason", reason},
                                           {"variable", "MANA_SERVICE_KEY"},
                                           {"suppressed", *suppressed}});
}

void user_service::knows_no_user(std::string_view reason, clock::time_point now) {
    if (const auto suppressed = unknowns_.admit(now))
        log::info("service_knows_no_user",
                  {{"service", name_}, {"reason", reason}, {"suppressed", *suppressed}});
}

void user_service::unusable(std::string_view reason, clock::time_point now) {
    if (const auto suppressed = oddities_.admit(now))
        log::warn("service_answer_unusable",
                  {{"service", name_}, {"reason", reason}, {"suppressed", *suppressed}});
}

} // namespace mana::gate
