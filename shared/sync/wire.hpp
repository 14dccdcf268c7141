// What clients are shown: log rows and record states as changes of the wire (SPEC §2, §3 rule 7). Pure.
#pragma once

#include "shared/sync/change.hpp"
#include "shared/sync/cursor.hpp"
#include "shared/sync/record.hpp"
#include "shared/sync/said_elsewhere.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mana::sync {

struct shown_field {
    std::string name;
    json_value value;
    instant at;
};

/// One server change, ready to be written.
struct wire_change {
    std::string event_id; ///< empty: not from the log (told to a push's author on top of its page)
    change_heading heading;
    operation op = operation::update;
    std::optional<json_object> data; ///< an insert's, or what an older client needs to create the record
    std::vector<shown_field> fields; ///< of an update
    position at{};                   ///< of its row in the log; the epoch where it is not from there
};

/// A change as a client is shown it: its JSON, ready to be sent.
struct shown_change {
    std::string table;
    position at{}; ///< of its row in the log; the epoch where it is not from there
    std::string json;
};
shown_change shown(const wire_change& change);

/// One row of the log as it was read.
struct logged_change {
    std::string event_id;
    change_heading heading;
    operation op = operation::update;
    json_object data;                ///< the fields that won, and `id` of an insert
    std::vector<shown_field> fields; ///< of `data`, with their shown times
};

/// Splits a row's data by its field_meta ({field: time}, or {field: {"at": time}} from other programs). A
/// field without a readable time there is shown with the row's position.
std::vector<shown_field> shown_fields(const json_object& data, const json_object& field_meta, position at);

/// The changes that make an existing client hold exactly the row's fields with their shown times. `record` is
/// the record's current state where it is known; of it are read `deletedAt`, and, for an undelete, all
/// fields.
/// What is said elsewhere is left out, and where that is all, nothing is left but the row's names.
std::vector<wire_change> changes_of(logged_change row, const record_state* record, const said_elsewhere& but);

/// Who is told of a record's state, and when.
struct told_reader {
    std::string_view user;
    std::string_view client;
    instant now;
};

/// The changes that make a client hold the named fields of a record. `names` must be held there.
std::vector<wire_change> changes_of(const change_heading& heading, const record_state& record,
                                    std::span<const std::string> names, const told_reader& to);

/// A hard delete, and then all that lives of the record.
std::vector<wire_change> reset_of(const change_heading& heading, const record_state& record);

struct conflict {
    std::string table;
    std::string record_id;
    std::string field;
    value_text client_value;
    std::optional<instant> client_time;     ///< none: an untimed insert
    std::optional<value_text> server_value; ///< none: it takes too much to tell it, see value_reader.hpp
    instant server_time;
};

/// One page of server changes, and for a push what became of its changes.
struct answer {
    std::vector<shown_change> server_changes;
    std::vector<conflict> conflicts;
    std::vector<rejection> rejected;
    cursor synced_until;
    bool has_more = false;
};

/// The JSON of an answer, as POST /sync/{appId} and GET /sync/{appId}/pull give it.
std::string to_json(const answer& given);

/// The JSON of some changes of one table, as GET /sync/{appId}/stream gives it in `event: changes`. One line.
std::string to_json(std::string_view table, std::span<const shown_change> changes, const cursor& synced_until,
                    bool has_more);

} // namespace mana::sync
