#include "shared/store/waiting_row.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace mana::store {

namespace {

constexpr std::string_view deleted_at = "deletedAt";
constexpr std::size_t depth_looked_at = 3; // what lies deeper is the push's to read

/// Thrown and caught in this file only.
struct set_aside {
    std::string reason;
};

sync::json_value parsed(const std::optional<std::string>& text) {
    if (!text) return {};
    auto value = sync::parse_json(*text, depth_looked_at);
    if (!value) throw set_aside{"malformed_field"};
    return std::move(*value);
}

sync::json_object object_in(const std::optional<std::string>& text) {
    auto value = parsed(text);
    if (value.is_null()) return {};
    auto* object = std::get_if<sync::json_object>(&value.held);
    if (object == nullptr) throw set_aside{"malformed_field"};
    return std::move(*object);
}

/// {field: time} or {field: {"at": time}}; nothing where it is missing or empty.
std::optional<sync::instant> time_in(const sync::json_object& field_meta, std::string_view field) {
    const auto* held = find_member(field_meta, field);
    if (held != nullptr && held->as_object() != nullptr) held = find_member(*held->as_object(), "at");
    if (held == nullptr || held->is_null()) return std::nullopt;
    const auto* text = held->as_string();
    if (text != nullptr && text->empty()) return std::nullopt;
    const auto time = text != nullptr ? sync::parse_claim(*text) : std::nullopt;
    if (!time) throw set_aside{"malformed_time"};
    return time;
}

/// A soft delete claims the time that `deletedAt` says, unless field_meta has one: then it is an update.
std::string_view operation_of(const waiting_row& row, const sync::json_object& data,
                              const sync::json_object& field_meta) {
    if (row.op != "delete" || !time_in(field_meta, deleted_at)) return row.op;
    const auto* value = find_member(data, deleted_at);
    return value != nullptr && sync::truthy(*value) ? "update" : "delete";
}

void put(std::string& out, std::string_view key, std::string_view json) {
    out.append(1, ',');
    sync::append_json_string(out, key);
    out.append(1, ':').append(json);
}

void put_text(std::string& out, std::string_view key, std::string_view text) {
    std::string json;
    sync::append_json_string(json, text);
    put(out, key, json);
}

/// The body of a push. JSON goes in as it is: what a client may not push is to be refused, not changed.
std::string push_of(const waiting_row& row, std::string_view op) {
    std::string body = R"({"changes":[{"schemaVersion":)" + std::to_string(row.schema_version);
    put_text(body, "table", row.table);
    put_text(body, "id", row.record_id);
    put_text(body, "op", op);
    if (row.data) put(body, "data", *row.data);
    if (row.actor) put(body, "actor", *row.actor);
    if (row.origin) put_text(body, "origin", *row.origin);
    if (row.space) put_text(body, "spaceId", *row.space);
    body += "}]";
    put_text(body, "clientId", row.client);
    return body + '}';
}

sync::change change_pushed(const std::string& body, const sync::request_limits& limits) {
    auto push = sync::parse_push(body, {}, limits);
    if (!push) throw set_aside{push.error().code};
    if (!push->rejected.empty()) throw set_aside{push->rejected.front().code};
    return std::move(push->changes.at(0));
}

sync::change read(const waiting_row& row, const sync::request_limits& limits) {
    if (row.too_large) throw set_aside{"too_large"};
    const bool has_data = row.data && *row.data != "null";
    if (!has_data && row.op != "delete") throw set_aside{"no_data"};
    const auto field_meta = object_in(row.field_meta);
    auto change = change_pushed(push_of(row, operation_of(row, object_in(row.data), field_meta)), limits);
    for (auto& write : change.writes) {
        const auto claimed = time_in(field_meta, write.field);
        if (!claimed) continue;
        write.at = claimed;
        write.from_insert = false;
    }
    return change;
}

} // namespace

boost::system::result<sync::change, unusable> change_in(const waiting_row& row,
                                                        const sync::request_limits& limits) {
    try {
        return read(row, limits);
    } catch (set_aside& why) {
        return unusable{std::move(why.reason)};
    }
}

} // namespace mana::store
