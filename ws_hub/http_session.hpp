// The one HTTP request of a connection: answered, or the beginning of a WebSocket.
#pragma once

#include "ws_hub/session_context.hpp"

#include <boost/asio/local/stream_protocol.hpp>

namespace mana::hub {

/// Reads the request and answers it, or hands the connection to websocket_session. Lives until then; one that
/// does not send its request within 10 s is closed. `shared` outlives it.
void start_http_session(const session_context& shared, boost::asio::local::stream_protocol::socket connected);

} // namespace mana::hub
