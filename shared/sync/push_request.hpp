// The body of POST /sync/{appId}, read and checked (SPEC §2, §3 rule 1, §6). Pure.
#pragma once

#include "shared/sync/change.hpp"
#include "shared/sync/cursor.hpp"

#include <boost/system/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace mana::sync {

/// What a request may be made of. Sizes are in bytes. More changes, or what is no request, are refused whole;
/// a change beyond any other limit is refused alone.
struct request_limits {
    std::size_t changes = 10'000;
    std::size_t fields = 1'000;    ///< of one change
    std::size_t nesting = 128;     ///< levels of containers in one field's value
    std::size_t table_bytes = 200; ///< the index of record states holds scope, app, table and record id …
    std::size_t record_id_bytes = 1'000;   ///< … in at most 2,700 bytes
    std::size_t name_bytes = 255;          ///< client id, space id, origin
    std::size_t field_bytes = 1'000;       ///< a field's name; a path has at most most_levels too
    std::size_t change_bytes = 10'000'000; ///< one change as PostgreSQL keeps it, exponents written out
};

struct push_request {
    std::string client_id; ///< may be empty
    cursor since;
    std::optional<instant> author_clock; ///< in place of `since`, see clock_in_since()
    std::vector<change> changes;
    std::vector<rejection> rejected; ///< changes refused alone, in order
};

/// Why the whole request is refused with 400; nothing of it is stored.
struct request_fault {
    std::string code;
    std::string message; ///< names the change's index and the field
};

/// Whether X-Client-Id can be stored as it is: printable ASCII, not too long. An empty one says nothing.
bool usable_client_id_header(std::string_view header, const request_limits& limits);

/// Reads a push. `header_client_id` (X-Client-Id) wins over the body's clientId where it is not empty.
boost::system::result<push_request, request_fault>
parse_push(std::string_view body, std::string_view header_client_id, const request_limits& limits);

} // namespace mana::sync
