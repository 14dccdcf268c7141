#include "ws_hub/messages.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace mana::hub {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& message, std::string_view key) {
    const json::value* const found = message.if_contains(key);
    const json::string* const text = found == nullptr ? nullptr : found->if_string();
    return text == nullptr ? std::string{} : std::string{text->data(), text->size()};
}

message_kind kind_of(std::string_view type) {
    if (type == "auth") return message_kind::auth;
    if (type == "ping") return message_kind::ping;
    return message_kind::unknown;
}

} // namespace

std::optional<client_message> parse_client_message(std::string_view text) {
    boost::system::error_code failure;
    const json::value parsed = json::parse({text.data(), text.size()}, failure);
    const json::object* const message = failure ? nullptr : parsed.if_object();
    const json::value* const type = message == nullptr ? nullptr : message->if_contains("type");
    if (type == nullptr || !type->is_string()) return std::nullopt;
    const message_kind kind = kind_of(text_of(*message, "type"));
    if (kind != message_kind::auth) return client_message{.kind = kind, .token = {}, .client = {}};
    return client_message{
        .kind = kind, .token = text_of(*message, "token"), .client = text_of(*message, "clientId")};
}

std::string error_message(std::string_view what) {
    return json::serialize(json::object{{"type", "error"}, {"message", what}});
}

std::string sync_available_message(std::string_view app, const std::set<std::string>& tables) {
    json::array names;
    for (const std::string& table : tables) names.emplace_back(table);
    return json::serialize(
        json::object{{"type", "sync-available"}, {"appId", app}, {"tables", std::move(names)}});
}

} // namespace mana::hub
