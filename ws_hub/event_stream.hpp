// One client's event stream: all of the log after its cursor, page by page, then what is pushed from then on.
#pragma once

#include "shared/gate/token.hpp"
#include "shared/store/page_reader.hpp"
#include "ws_hub/session_context.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <string>
#include <vector>

namespace mana::hub {

struct stream_opening {
    gate::identity who;
    std::string client;              ///< whose own changes are left out; may be empty
    std::vector<std::string> spaces; ///< that the user is a member of
    store::page_request first;       ///< the first page; later ones differ in `since`
    std::string request_id;          ///< for the logs
};

/// Serves the stream until the client goes, the token ends or the hub stops. The head of the HTTP response
/// has been sent. `shared` outlives it.
void start_event_stream(const session_context& shared, boost::asio::local::stream_protocol::socket connected,
                        stream_opening opening);

} // namespace mana::hub
