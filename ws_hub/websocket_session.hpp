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

struct websocket_opening {
    std::optional<std::string> app; ///< the only one that it hears of; nothing: all
    std::string request_id;         ///< for the logs
};

/// Accepts the upgrade and serves the connection until it ends. `shared` outlives it.
void start_websocket_session(const session_context& shared,
                             boost::asio::local::stream_protocol::socket connected, upgrade_request upgrade,
                             websocket_opening opening);

} // namespace mana::hub
