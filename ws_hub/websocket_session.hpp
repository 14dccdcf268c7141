// One browser's WebSocket: says who it is in-band, then hears of what its user's other clients push.
#pragma once

#include "ws_hub/session_context.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>

#include <optional>
#include <string>

namespace mana::hub {

using upgrade_request = boost::beast::http::request<boost::beast::http::empty_body>;

/// Accepts the upgrade and serves the connection until it ends. `app`: the only one it hears of; nothing:
/// all. `shared` outlives it.
void start_websocket_session(const session_context& shared,
                             boost::asio::local::stream_protocol::socket connected, upgrade_request upgrade,
                             std::optional<std::string> app);

} // namespace mana::hub
