#include "ws_hub/stream_request.hpp"

#include "shared/http/names.hpp"
#include "shared/http/query.hpp"
#include "shared/sync/push_request.hpp"

#include <algorithm>
#include <boost/algorithm/string/split.hpp>
#include <optional>
#include <vector>

namespace mana::hub {
namespace {

// Small pages: a reader that is slow holds one of them.
constexpr int page_bytes = 256'000;

using names = std::vector<std::string>;

boost::system::result<names, stream_fault> collections_in(std::optional<std::string_view> list) {
    names found;
    if (!list || list->empty()) return found;
    names named;
    boost::algorithm::split(named, *list, [](char letter) { return letter == ','; });
    for (const std::string& name : named) {
        if (!http::is_collection(name))
            return stream_fault{"the query parameter collections has a name that is empty or no UTF-8 text"};
        if (std::ranges::find(found, name) == found.end()) found.push_back(name);
    }
    if (found.size() > collections_at_most)
        return stream_fault{"the query parameter collections names more than " +
                            std::to_string(collections_at_most)};
    return found;
}

} // namespace

boost::system::result<store::page_request, stream_fault> parse_stream_request(const stream_head& head,
                                                                              int page_rows) {
    const auto query = http::parse_query(head.query);
    if (!query) return stream_fault{"the query string is not properly encoded"};
    if (!sync::usable_client_id_header(head.client_id, sync::request_limits{}))
        return stream_fault{"X-Client-Id is too long or has characters that are not printable ASCII"};
    auto tables = collections_in(query->find("collections"));
    if (!tables) return tables.error();
    store::page_request wanted;
    wanted.app = head.app;
    wanted.tables = std::move(*tables);
    wanted.since = sync::parse_since(
        sync::is_readable_since(head.last_event_id) ? head.last_event_id : query->find("since").value_or(""));
    wanted.include_own = query->find("includeOwn") == "true";
    wanted.rows = page_rows;
    wanted.bytes = page_bytes;
    return wanted;
}

} // namespace mana::hub
