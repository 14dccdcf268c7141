// What a client asks of GET /sync/{appId}/stream (SPEC §2 Stream). Pure.
#pragma once

#include "shared/store/page_reader.hpp"

#include <boost/system/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace mana::hub {

inline constexpr std::size_t collections_at_most = 100;

/// The parts of the HTTP request that count.
struct stream_head {
    std::string_view app;
    std::string_view query; ///< still encoded
    std::string_view client_id;
    std::string_view last_event_id;
};

/// Why the request is refused with 400: one line for the user.
struct stream_fault {
    std::string message;
};

/// The first page of the stream, of at most `page_rows`. Last-Event-ID, which a client that comes back sends,
/// wins over `since` where it can be read; neither is the epoch.
boost::system::result<store::page_request, stream_fault> parse_stream_request(const stream_head& head,
                                                                              int page_rows);

} // namespace mana::hub
