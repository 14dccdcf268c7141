#include "ws_hub/closed_connection.hpp"

#include "shared/runtime/log.hpp"

namespace mana::hub {

void report(metrics& counts, const closed_connection& what, const ending& why) {
    namespace log = runtime::log;
    counts.closed(what.kind, why);
    const auto open_for =
        std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now() - what.opened);
    const auto write = why.worth == ending::notice::expected ? log::debug : log::info;
    write(what.kind == connection_kind::websocket ? "websocket_closed" : "stream_closed",
          {{"id", what.request_id},
           {"reason", why.reason},
           {"user", what.user},
           {"seconds", open_for.count()}});
}

} // namespace mana::hub
