#include "fcgi_worker/pull.hpp"

#include "fcgi_worker/spaces.hpp"
#include "shared/http/names.hpp"
#include "shared/http/query.hpp"
#include "shared/store/page_reader.hpp"
#include "shared/sync/push_request.hpp"

#include <boost/system/result.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace mana::fcgi_worker {
namespace {

http_response invalid(std::string_view message) {
    return error_response(400, "invalid_request", message);
}

boost::system::result<store::page_request, http_response> wanted_page(const call& made) {
    const auto query = http::parse_query(made.request.query);
    if (!query) return invalid("the query string is not properly encoded");
    const auto collection = query->find("collection");
    if (!collection || collection->empty()) return invalid("the query parameter collection is missing");
    const auto since = query->find("since");
    if (!since) return invalid("the query parameter since is missing");
    if (!http::is_collection(*collection))
        return invalid("the query parameter collection is no UTF-8 text without NUL");
    store::page_request wanted;
    wanted.app = made.app;
    wanted.tables = {std::string{*collection}};
    wanted.since = sync::parse_since(*since);
    wanted.include_own = query->find("includeOwn") == "true";
    return wanted;
}

} // namespace

http_response pull(const call& made, gate::user_gate& users, store::database& tables, int rows) {
    if (!sync::usable_client_id_header(made.request.client_id, sync::request_limits{}))
        return invalid("X-Client-Id is too long or has characters that are not printable ASCII");
    auto wanted = wanted_page(made);
    if (!wanted) return wanted.error();
    wanted->rows = rows;

    const auto spaces = spaces_to_read(made, users, tables);
    wanted->spaces_shared = users.spaces_shared();
    wanted->spaces_known = spaces.has_value();
    wanted->remembered = &tables.seen_spaces();
    const store::reader who{made.user, made.request.client_id, spaces.value_or(std::vector<std::string>{})};
    http_response response;
    response.body = sync::to_json(tables.run(
        made.until, [&](store::connection& on) { return store::read_page(on, who, *wanted, made.until); }));
    return response;
}

} // namespace mana::fcgi_worker
