// What clients say over a WebSocket.
#include "shared/sync/json.hpp"
#include "tests/fuzz/property.hpp"
#include "ws_hub/messages.hpp"

#include <string>

namespace mana::fuzz {
namespace {

std::string quoted(std::string_view text) {
    std::string out;
    sync::append_json_string(out, text);
    return out;
}

sync::json_object object_of(std::string_view text) {
    constexpr std::size_t levels = 2;
    const auto parsed = sync::parse_json(text, levels);
    must(parsed && parsed->as_object() != nullptr, "what the server says is a JSON object");
    return *parsed->as_object();
}

const std::string& text_in(const sync::json_object& message, std::string_view key) {
    const auto* const found = sync::find_member(message, key);
    must(found != nullptr && found->as_string() != nullptr, "a member is a text");
    return *found->as_string();
}

void must_survive_sending(const hub::client_message& said) {
    const auto again = hub::parse_client_message(R"({"clientId":)" + quoted(said.client) + R"(,"token":)" +
                                                 quoted(said.token) + R"(,"type":"auth","more":[{}]})");
    must(again && again->kind == said.kind, "a message is understood when it is sent again");
    must(again->token == said.token && again->client == said.client, "and says the same");
}

// Names of tables come from clients and go to others.
void check_what_the_server_says(const std::string& text) {
    must(text_in(object_of(hub::error_message(text)), "message") == text, "an error says what was wrong");
    const auto told = object_of(hub::sync_available_message(text, {text, "lists"}));
    must(text_in(told, "appId") == text, "an app is told by its name");
    const auto* const tables = sync::find_member(told, "tables");
    must(tables != nullptr && tables->as_array() != nullptr, "and so are its tables");
    for (const auto& table : *tables->as_array())
        must(*table.as_string() == text || *table.as_string() == "lists", "by their names");
}

void check(std::string_view text) {
    const auto said = hub::parse_client_message(text);
    if (!said) return;
    if (said->kind != hub::message_kind::auth) {
        must(said->token.empty() && said->client.empty(), "only auth carries a token");
        return;
    }
    must_survive_sending(*said);
    check_what_the_server_says(said->client);
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mana::fuzz::check(mana::fuzz::text_of(data, size));
    return 0;
}
