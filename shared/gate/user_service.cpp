#include "shared/gate/user_service.hpp"

#include "shared/runtime/log.hpp"

#include <utility>

namespace mana::gate {

namespace log = runtime::log;

user_service::user_service(std::string_view name, std::string base_url, const std::string& service_key)
    : name_{name}, base_url_{std::move(base_url)}, key_header_{"X-Service-Key: " + service_key} {}

std::optional<std::string> user_service::ask(const std::string& path, clock::time_point now) {
    if (closed_until_ && now < *closed_until_) return std::nullopt;
    auto reply = http_.get(base_url_ + path, answers_within, {key_header_});
    if (!reply) {
        failed(reply.error().reason, now);
        return std::nullopt;
    }
    if (reply->status != 200) {
        failed("status " + std::to_string(reply->status), now);
        return std::nullopt;
    }
    if (std::exchange(closed_until_, std::nullopt)) log::info("service_up", {{"service", name_}});
    return std::move(reply->body);
}

void user_service::failed(std::string_view reason, clock::time_point now) {
    if (!closed_until_) log::warn("service_down", {{"service", name_}, {"reason", reason}});
    closed_until_ = now + answers_within + pause;
}

} // namespace mana::gate
