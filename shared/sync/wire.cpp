#include "shared/sync/wire.hpp"

#include "shared/sync/held_rows.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace mana::sync {

namespace {

constexpr std::string_view deleted_at = "deletedAt";

std::optional<instant> time_in_meta(const json_object& field_meta, std::string_view field) {
    const auto* held = find_member(field_meta, field);
    if (held != nullptr && held->as_object() != nullptr) held = find_member(*held->as_object(), "at");
    if (held == nullptr || held->as_string() == nullptr) return std::nullopt;
    return parse_instant(*held->as_string());
}

const shown_field* find_field(const std::vector<shown_field>& fields, std::string_view name) {
    const auto found = std::ranges::find(fields, name, &shown_field::name);
    return found != fields.end() ? &*found : nullptr;
}

/// Every change of a soft-deleted record carries its deletedAt; an undelete brings all fields back (rule 7).
void add_what_deletion_needs(std::vector<shown_field>& fields, const record_state& record) {
    const auto* emitted = find_field(fields, deleted_at);
    const auto held = record.fields.find(deleted_at);
    if (emitted == nullptr && held != record.fields.end() && truthy(held->second.value))
        fields.push_back({held->first, held->second.value, held->second.shown});
    if (emitted == nullptr || !emitted->value.is_null()) return;
    std::set<std::string> there;
    for (const auto& field : fields) there.insert(field.name);
    for (const auto& [name, field] : record.fields)
        if (!there.contains(name)) fields.push_back({name, field.value, field.shown});
}

/// A client reads an insert as `data.updatedAt ?? data.createdAt` for all fields: true only where that very
/// text is what every field is shown with.
bool reads_as_insert(const json_object& data, const std::vector<shown_field>& plain) {
    const auto* told = find_member(data, "updatedAt");
    if (told == nullptr || told->is_null()) told = find_member(data, "createdAt");
    const auto* text = told != nullptr ? told->as_string() : nullptr;
    if (text == nullptr) return false;
    return std::ranges::all_of(plain, [&](const shown_field& field) {
        return to_text(field.at) == *text && find_member(data, field.name) != nullptr;
    });
}

/// Plain fields in one change; dotted ones in a change of their own after it, outer paths first. The first
/// one stands even where it is empty: a client that lacks the record creates it from what it is sent, and
/// would take a dotted path for a name.
std::vector<wire_change> split(wire_change whole) {
    std::ranges::stable_sort(whole.fields, {},
                             [](const shown_field& field) { return path_depth(field.name); });
    const auto first_dotted = std::ranges::find_if(whole.fields, is_dotted, &shown_field::name);
    std::vector<shown_field> inner(std::make_move_iterator(first_dotted),
                                   std::make_move_iterator(whole.fields.end()));
    whole.fields.erase(first_dotted, whole.fields.end());

    std::vector<wire_change> changes{std::move(whole)};
    if (inner.empty()) return changes;
    const auto& first = changes.front();
    changes.push_back({first.event_id, first.heading, operation::update, std::nullopt, std::move(inner)});
    return changes;
}

void put_text(std::string& out, std::string_view key, std::string_view text) {
    append_json_string(out, key);
    out += ':';
    append_json_string(out, text);
    out += ',';
}

void put_value(std::string& out, std::string_view key, const json_value& value) {
    append_json_string(out, key);
    out += ':';
    append_json_text(out, value);
    out += ',';
}

void put_value(std::string& out, std::string_view key, const value_text& value) {
    append_json_string(out, key);
    out.append(1, ':').append(value.text) += ',';
}

/// Closes an object or array whose members each left a comma behind.
void close(std::string& out, char bracket) {
    if (out.back() == ',')
        out.back() = bracket;
    else
        out += bracket;
    out += ',';
}

void put_change(std::string& out, const wire_change& change) {
    out += '{';
    if (!change.event_id.empty()) put_text(out, "eventId", change.event_id);
    out.append("\"schemaVersion\":").append(std::to_string(change.heading.schema_version)) += ',';
    put_text(out, "table", change.heading.table);
    put_text(out, "id", change.heading.record_id);
    put_text(out, "op", to_text(change.op));
    if (change.op == operation::update) {
        out += "\"fields\":{";
        for (const auto& field : change.fields) {
            append_json_string(out, field.name);
            out += ":{";
            put_value(out, "value", field.value);
            put_text(out, "at", to_text(field.at));
            close(out, '}');
        }
        close(out, '}');
    }
    if (change.data) put_value(out, "data", *change.data);
    if (!change.heading.space.empty()) put_text(out, "spaceId", change.heading.space);
    const auto& actor = change.heading.actor;
    if (actor && actor->as_object() != nullptr) put_value(out, "actor", *actor);
    if (!change.heading.origin.empty()) put_text(out, "origin", change.heading.origin);
    out.back() = '}';
}

void put_shown(std::string& out, const shown_change& change) {
    out.append(change.json) += ',';
}

void put_conflict(std::string& out, const conflict& lost) {
    out += '{';
    put_text(out, "table", lost.table);
    put_text(out, "id", lost.record_id);
    put_text(out, "field", lost.field);
    put_value(out, "clientValue", lost.client_value);
    if (lost.client_time) put_text(out, "clientTimestamp", to_text(*lost.client_time));
    if (lost.server_value) put_value(out, "serverValue", *lost.server_value);
    put_text(out, "serverTimestamp", to_text(lost.server_time));
    close(out, '}');
}

void put_rejection(std::string& out, const rejection& refused) {
    out.append("{\"index\":").append(std::to_string(refused.index)) += ',';
    put_text(out, "table", refused.table);
    put_text(out, "id", refused.record_id);
    put_text(out, "code", refused.code);
    put_text(out, "message", refused.message);
    close(out, '}');
}

std::size_t room_for(std::span<const shown_change> changes) {
    std::size_t bytes = 256;
    for (const auto& change : changes) bytes += change.json.size() + 1;
    return bytes;
}

template<class Items, class Put>
void put_list(std::string& out, std::string_view key, const Items& items, Put put) {
    append_json_string(out, key);
    out += ":[";
    for (const auto& item : items) put(out, item);
    close(out, ']');
}

} // namespace

std::vector<shown_field> shown_fields(const json_object& data, const json_object& field_meta, position at) {
    std::vector<shown_field> fields;
    for (const auto& [name, value] : data) {
        if (!is_field(name)) continue;
        const auto told = time_in_meta(field_meta, name);
        fields.push_back({name, value, told.value_or(std::chrono::floor<std::chrono::milliseconds>(at))});
    }
    return fields;
}

std::vector<wire_change> changes_of(logged_change row, const record_state* record,
                                    const said_elsewhere& but) {
    if (row.op == operation::remove)
        return {{std::move(row.event_id), std::move(row.heading), operation::remove, std::nullopt, {}}};
    const bool is_insert = row.op == operation::insert;
    if (row.fields.empty()) return {};
    if (record != nullptr && !but.all()) add_what_deletion_needs(row.fields, *record);
    // A soft-deleted record's deletedAt goes with each change of it, however often.
    std::erase_if(row.fields, [&](const shown_field& field) {
        return but.has(field.name) && (but.all() || field.name != deleted_at || !truthy(field.value));
    });

    const auto dotted = std::ranges::any_of(row.fields, is_dotted, &shown_field::name);
    wire_change whole{std::move(row.event_id), std::move(row.heading), operation::update, std::nullopt,
                      std::move(row.fields)};
    if (is_insert && !dotted && !but.any() && reads_as_insert(row.data, whole.fields))
        whole.op = operation::insert;
    if (is_insert) {
        std::erase_if(row.data, [](const json_member& member) { return is_dotted(member.key); });
        whole.data = std::move(row.data);
    }
    return split(std::move(whole));
}

namespace {

std::vector<wire_change> changes_of(const change_heading& heading, const record_state& record,
                                    std::vector<shown_field> fields) {
    if (fields.empty()) return {};
    add_what_deletion_needs(fields, record);
    return split({{}, heading, operation::update, std::nullopt, std::move(fields)});
}

} // namespace

std::vector<wire_change> changes_of(const change_heading& heading, const record_state& record,
                                    std::span<const std::string> names, const told_reader& to) {
    std::vector<shown_field> fields;
    for (const auto& name : names) {
        const auto held = record.fields.find(name);
        if (held != record.fields.end())
            fields.push_back({name, held->second.value, shown_to(held->second, to.user, to.client, to.now)});
    }
    return changes_of(heading, record, std::move(fields));
}

std::vector<wire_change> reset_of(const change_heading& heading, const record_state& record) {
    std::vector<wire_change> changes{{{}, heading, operation::remove, std::nullopt, {}}};
    std::vector<shown_field> fields;
    for (const auto& [name, held] : record.fields) fields.push_back({name, held.value, held.shown});
    std::ranges::move(changes_of(heading, record, std::move(fields)), std::back_inserter(changes));
    return changes;
}

shown_change shown(const wire_change& change) {
    shown_change made{change.heading.table, change.at, {}};
    put_change(made.json, change);
    return made;
}

std::string to_json(const answer& given) {
    std::string out = "{";
    out.reserve(room_for(given.server_changes));
    put_list(out, "serverChanges", given.server_changes, put_shown);
    put_list(out, "conflicts", given.conflicts, put_conflict);
    if (!given.rejected.empty()) put_list(out, "rejected", given.rejected, put_rejection);
    put_text(out, "syncedUntil", to_text(given.synced_until));
    if (given.has_more) out += "\"hasMore\":true,";
    close(out, '}');
    out.pop_back();
    return out;
}

std::string to_json(std::string_view table, std::span<const shown_change> changes, const cursor& synced_until,
                    bool has_more) {
    std::string out = "{";
    out.reserve(room_for(changes));
    put_text(out, "table", table);
    put_list(out, "changes", changes, put_shown);
    put_text(out, "syncedUntil", to_text(synced_until));
    out.append("\"hasMore\":").append(has_more ? "true}" : "false}");
    return out;
}

} // namespace mana::sync
