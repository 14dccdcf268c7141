// A change as a client pushes it, read into what it claims (SPEC §2, §3 rule 1). Pure.
#pragma once

#include "shared/sync/json.hpp"
#include "shared/sync/json_text.hpp"
#include "shared/sync/time.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mana::sync {

enum class operation { insert, update, remove };

/// "insert", "update", "delete"
std::string_view to_text(operation op);
std::optional<operation> parse_operation(std::string_view text);

/// One field that a change wants to set.
struct field_write {
    std::string field; ///< a name, or a dotted path into an object
    value_text value;
    std::optional<instant> at; ///< the time it claims; none: an untimed insert
    bool from_insert = false;  ///< it came in `data`: its author holds its own clock's time for it
};

/// What travels with a change unread, and comes out of the log with it.
struct change_heading {
    std::string table;
    std::string record_id;
    int schema_version = 1;
    std::string space;               ///< `spaceId`; empty: none
    std::optional<json_value> actor; ///< opaque
    std::string origin;              ///< empty: none
};

struct change {
    std::size_t index = 0; ///< its place in the request
    change_heading heading;
    operation op = operation::update;
    bool hard_delete =
        false; ///< a delete without `deletedAt` anywhere: a tombstone; then there are no writes
    std::vector<field_write> writes;
    std::optional<value_text> data_id; ///< `data.id` of an insert: no field, but part of the record
};

/// A change that is refused alone while the rest of its push lands (SPEC §6).
struct rejection {
    std::size_t index = 0;
    std::string table;
    std::string record_id;
    std::string code;
    std::string message;
    std::string change_text; ///< the change's JSON, kept as a lost write
};

/// `id`, `__fieldMeta` and `_updatedAtIndex` are no fields.
bool is_field(std::string_view name);

// Paths: "a.b" lies inside "a". Dexie reports an edit inside an object so (SPEC §3 rule 4).
constexpr std::size_t most_levels = 128; ///< of a path that a push may name
bool is_dotted(std::string_view field);
std::string_view root_of(std::string_view field);
bool lies_inside(std::string_view inner, std::string_view outer);
std::size_t path_depth(std::string_view field); ///< its dots: "a" has none

} // namespace mana::sync
