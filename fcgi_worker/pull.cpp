#include "fcgi_worker/pull.hpp"

#include "fcgi_worker/query.hpp"
#include "shared/store/page_reader.hpp"
#include "shared/sync/json.hpp"
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

// A name that no table of ours can have would be PostgreSQL's to refuse, and then a failure of the server.
// What is UTF-8 is said by the parser that lets names in.
bool usable_collection(std::string_view name) {
    std::string as_json;
    sync::append_json_string(as_json, name);
    return !sync::has_nul(name) && sync::parse_json(as_json, 1).has_value();
}

boost::system::result<store::page_request, http_response> wanted_page(const call& made) {
    const auto query = parse_query(made.request.query);
    if (!query) return invalid("the query string is not properly encoded");
    const auto collection = query->find("collection");
    if (!collection || collection->empty()) return invalid("the query parameter collection is missing");
    const auto since = query->find("since");
    if (!since) return invalid("the query parameter since is missing");
    if (!usable_collection(*collection))
        return invalid("the query parameter collection is no UTF-8 text without NUL");
    store::page_request wanted;
    wanted.app = made.app;
    wanted.table = *collection;
    wanted.since = sync::parse_since(*since);
    wanted.include_own = query->find("includeOwn") == "true";
    return wanted;
}

// A transaction that only read is never in doubt: if its end was not heard, it can be read again.
sync::answer read_at_will(store::connection& on, const store::reader& who, const store::page_request& wanted,
                          store::deadline until) {
    try {
        return store::read_page(on, who, wanted, until);
    } catch (const store::postgres_error& failed) {
        if (failed.next() != store::remedy::in_doubt) throw;
        throw store::postgres_error{store::remedy::reconnect, failed.what()};
    }
}

} // namespace

http_response pull(const call& made, database& tables) {
    if (!sync::usable_client_id_header(made.request.client_id, sync::request_limits{}))
        return invalid("X-Client-Id is too long or has characters that are not printable ASCII");
    const auto wanted = wanted_page(made);
    if (!wanted) return wanted.error();

    const store::reader who{made.user, made.request.client_id, {}};
    http_response response;
    response.body = sync::to_json(tables.run(
        made.until, [&](store::connection& on) { return read_at_will(on, who, *wanted, made.until); }));
    return response;
}

} // namespace mana::fcgi_worker
