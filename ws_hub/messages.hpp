// What goes over a WebSocket (docs/protocol.md): the few JSON messages of either side. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace mana::hub {

enum class message_kind { auth, ping, unknown };

struct client_message {
    message_kind kind = message_kind::unknown;
    std::string token;  ///< of auth; may be empty, which no verification lets pass
    std::string client; ///< of auth: `clientId`, which may be empty
};

/// Nothing where the text is not a JSON object with a string `type`. Unknown keys are ignored.
std::optional<client_message> parse_client_message(std::string_view text);

inline constexpr std::string_view auth_ok_message = R"({"type":"auth-ok"})";
inline constexpr std::string_view pong_message = R"({"type":"pong"})";
std::string error_message(std::string_view what);
/// Tables in their order; store::any_table for those that are not named.
std::string sync_available_message(std::string_view app, const std::set<std::string>& tables);

} // namespace mana::hub
