#include "shared/sync/push_request.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace mana::sync {

namespace {

constexpr int newest_schema_version = 1;
// object, changes, change, fields, field: what stands around a value
constexpr std::size_t levels_around_a_value = 5;

/// Null where the member is missing or null: the two mean the same in a request.
const json_value* given(const json_object& object, std::string_view key) {
    const auto* value = find_member(object, key);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

const json_object* given_object(const json_object& object, std::string_view key) {
    const auto* value = given(object, key);
    return value != nullptr ? value->as_object() : nullptr;
}

/// Thrown and caught in this file only: reading a change has many places that can refuse it.
struct refused_alone {
    std::string code;
    std::string message;
};
struct refused_whole {
    request_fault fault;
};

[[noreturn]] void refuse_whole(std::string code, std::string message) {
    throw refused_whole{{std::move(code), std::move(message)}};
}

std::string at_change(std::size_t index, std::string_view key) {
    return "changes[" + std::to_string(index) + "]." + std::string(key);
}

int read_schema_version(const json_object& object, const std::string& where) {
    const auto* value = given(object, "schemaVersion");
    if (value == nullptr) return newest_schema_version;
    const auto* number = value->as_number();
    double version = -1;
    if (number != nullptr)
        std::from_chars(number->text.data(), number->text.data() + number->text.size(), version);
    if (version < 0 || version != std::floor(version))
        refuse_whole("invalid_schema_version", where + " must be a whole number");
    if (version > newest_schema_version)
        refuse_whole("unsupported_schema_version", where + " is newer than this server knows (" +
                                                       std::to_string(newest_schema_version) + ")");
    return newest_schema_version;
}

std::string read_name(const json_object& change, std::size_t index, std::string_view key) {
    const auto* value = find_member(change, key);
    const auto* text = value != nullptr ? value->as_string() : nullptr;
    if (text == nullptr || text->empty())
        refuse_whole("invalid_change", at_change(index, key) + " must be a non-empty string");
    return *text;
}

operation read_operation(const json_object& change, std::size_t index) {
    const auto* value = find_member(change, "op");
    const auto* text = value != nullptr ? value->as_string() : nullptr;
    const auto op = text != nullptr ? parse_operation(*text) : std::nullopt;
    if (!op) refuse_whole("invalid_change", at_change(index, "op") + " must be insert, update or delete");
    return *op;
}

/// A time as `at` may carry it: none where it is missing or empty.
std::optional<instant> read_time(const json_value* value, const std::string& where) {
    if (value == nullptr || value->is_null()) return std::nullopt;
    const auto* text = value->as_string();
    if (text != nullptr && text->empty()) return std::nullopt;
    const auto time = text != nullptr ? parse_claim(*text) : std::nullopt;
    if (time) return time;
    const bool is_time = text != nullptr && split_rfc3339(*text);
    throw refused_alone{"malformed_time", where + (is_time ? " is not within the years 0 to 9998"
                                                           : " is not an RFC 3339 time")};
}

std::optional<instant> usable_time(const json_object& data, std::string_view key) {
    const auto* value = find_member(data, key);
    const auto* text = value != nullptr ? value->as_string() : nullptr;
    return text != nullptr ? parse_claim(*text) : std::nullopt;
}

/// `deletedAt` on top, or in `fields` or `data`; null where the change deletes nothing softly.
const json_value* soft_delete_time(const json_object& change) {
    const auto truthy_or_null = [](const json_value* value) {
        return value != nullptr && truthy(*value) ? value : nullptr;
    };
    if (const auto* found = truthy_or_null(find_member(change, "deletedAt"))) return found;
    if (const auto* fields = given_object(change, "fields"))
        if (const auto* field = given_object(*fields, "deletedAt"))
            if (const auto* found = truthy_or_null(find_member(*field, "value"))) return found;
    if (const auto* data = given_object(change, "data"))
        return truthy_or_null(find_member(*data, "deletedAt"));
    return nullptr;
}

void read_fields(change& read, const json_object& fields) {
    read.writes.reserve(fields.size() + 1); // a deletedAt may come behind them
    for (const auto& [name, held] : fields) {
        if (!is_field(name)) continue;
        const auto* field = held.as_object();
        if (field == nullptr)
            throw refused_alone{"malformed_field",
                                "fields[\"" + name + "\"] must be an object with value and at"};
        const auto* at = given(*field, "at");
        if (at == nullptr) at = given(*field, "updatedAt");
        const auto claimed = read_time(at, "fields[\"" + name + "\"].at");
        const auto* value = find_member(*field, "value");
        read.writes.push_back(
            {name, value != nullptr ? value_text(*value) : value_text{}, claimed.value_or(epoch), false});
    }
}

void read_data(change& read, const json_object& data) {
    auto claimed = usable_time(data, "updatedAt");
    if (!claimed) claimed = usable_time(data, "createdAt");
    read.writes.reserve(data.size() + 1);
    for (const auto& [name, value] : data) {
        if (name == "id") read.data_id = value;
        if (!is_field(name) || (read.op == operation::remove && name == "deletedAt")) continue;
        read.writes.push_back({name, value, claimed, true});
    }
}

const json_object* object_or_refuse(const json_object& change, std::string_view key) {
    const auto* value = given(change, key);
    if (value == nullptr) return nullptr;
    const auto* object = value->as_object();
    if (object == nullptr) throw refused_alone{"malformed_field", std::string(key) + " must be an object"};
    return object;
}

void read_claims(change& read, const json_object& change) {
    const auto* fields = object_or_refuse(change, "fields");
    const auto* data = object_or_refuse(change, "data");
    const auto* deleted = soft_delete_time(change);
    if (read.op == operation::remove && deleted == nullptr) {
        read.hard_delete = true;
        return;
    }
    if (fields == nullptr && data == nullptr && deleted == nullptr)
        throw refused_alone{"malformed_field",
                            read.op == operation::insert ? "data is missing" : "fields are missing"};
    if (read.op == operation::insert && data == nullptr) read.op = operation::update;
    if (fields != nullptr && read.op != operation::insert)
        read_fields(read, *fields);
    else if (data != nullptr)
        read_data(read, *data);

    const auto is_deleted_at = [](const field_write& write) { return write.field == "deletedAt"; };
    if (read.op == operation::insert || deleted == nullptr || std::ranges::any_of(read.writes, is_deleted_at))
        return;
    const auto at = read_time(deleted, "deletedAt");
    read.writes.push_back({"deletedAt", *deleted, at, false});
}

std::string read_space(const json_object& change) {
    const auto* value = given(change, "spaceId");
    const auto* data = given_object(change, "data");
    if (value == nullptr && data != nullptr) value = given(*data, "spaceId");
    const auto* fields = given_object(change, "fields");
    const auto* field = fields != nullptr ? given_object(*fields, "spaceId") : nullptr;
    if (value == nullptr && field != nullptr) value = given(*field, "value");
    const auto* text = value != nullptr ? value->as_string() : nullptr;
    return text != nullptr ? *text : std::string{};
}

void read_heading(change_heading& heading, const json_object& change) {
    heading.space = read_space(change);
    if (const auto* actor = given(change, "actor")) heading.actor = *actor;
    const auto* origin = given(change, "origin");
    if (origin == nullptr) return;
    if (origin->as_string() == nullptr) throw refused_alone{"malformed_field", "origin must be a string"};
    heading.origin = *origin->as_string();
}

void check_storable(const json_value& value, std::string_view where) {
    const std::string name{where};
    switch (find_fault(value)) {
    case json_fault::none:
        return;
    case json_fault::nul_character:
        throw refused_alone{"nul_character", name + " holds a NUL character"};
    case json_fault::number_out_of_range:
        throw refused_alone{"number_out_of_range", name + " holds a number beyond what a double can hold"};
    case json_fault::too_deep:
        throw refused_alone{"too_deep", name + " holds a value that is nested too deep"};
    }
}

/// Only what is stored is looked at: unknown keys are ignored, whatever they hold.
void check_storable(const json_object& change) {
    for (const auto* key : {"table", "id", "fields", "data", "deletedAt", "spaceId", "actor", "origin"})
        if (const auto* value = find_member(change, key)) check_storable(*value, key);
}

/// Names are not told back: they are as long as a client makes them.
void check_names(const json_object& fields, std::string_view key, const request_limits& limits) {
    for (const auto& [name, value] : fields) {
        if (name.size() > limits.field_bytes)
            throw refused_alone{"too_long", "the name of a field in " + std::string(key) +
                                                " is longer than " + std::to_string(limits.field_bytes) +
                                                " bytes"};
        if (path_depth(name) >= most_levels)
            throw refused_alone{"too_deep", "the name of a field in " + std::string(key) +
                                                " is a path of more than " + std::to_string(most_levels) +
                                                " levels"};
    }
}

void check_fields(const json_object& change, const request_limits& limits) {
    for (const auto* key : {"fields", "data"}) {
        const auto* fields = given_object(change, key);
        if (fields == nullptr) continue;
        if (fields->size() > limits.fields)
            throw refused_alone{"too_many_fields", std::string(key) + " has more than " +
                                                       std::to_string(limits.fields) + " fields"};
        check_names(*fields, key, limits);
    }
}

void check_sizes(const change_heading& heading, const json_value& change, const request_limits& limits) {
    const auto check = [](std::string_view text, std::size_t limit, std::string_view name) {
        if (text.size() > limit)
            throw refused_alone{"too_long",
                                std::string(name) + " is longer than " + std::to_string(limit) + " bytes"};
    };
    check(heading.table, limits.table_bytes, "table");
    check(heading.record_id, limits.record_id_bytes, "id");
    check(heading.space, limits.name_bytes, "spaceId");
    check(heading.origin, limits.name_bytes, "origin");
    if (stored_size(change) > limits.change_bytes)
        throw refused_alone{"too_large", "the change is larger than " + std::to_string(limits.change_bytes) +
                                             " bytes when stored"};
}

void read_change(push_request& push, const json_value& given_change, std::size_t index,
                 const request_limits& limits) {
    const auto* object = given_change.as_object();
    if (object == nullptr)
        refuse_whole("invalid_change", "changes[" + std::to_string(index) + "] must be an object");
    change read;
    read.index = index;
    read.heading.table = read_name(*object, index, "table");
    read.heading.record_id = read_name(*object, index, "id");
    read.op = read_operation(*object, index);
    read.heading.schema_version = read_schema_version(*object, at_change(index, "schemaVersion"));
    try {
        check_storable(*object);
        check_fields(*object, limits);
        read_heading(read.heading, *object);
        check_sizes(read.heading, given_change, limits);
        read_claims(read, *object);
        push.changes.push_back(std::move(read));
    } catch (refused_alone& why) {
        push.rejected.push_back({index, std::move(read.heading.table), std::move(read.heading.record_id),
                                 std::move(why.code), std::move(why.message), to_json_text(given_change)});
    }
}

std::string read_client_id(const json_object& body, std::string_view header, const request_limits& limits) {
    if (!usable_client_id_header(header, limits))
        refuse_whole("invalid_request", "X-Client-Id must be at most " + std::to_string(limits.name_bytes) +
                                            " printable ASCII characters");
    std::string client{header};
    const auto* value = given(body, "clientId");
    if (client.empty() && value != nullptr) {
        if (value->as_string() == nullptr) refuse_whole("invalid_request", "clientId must be a string");
        client = *value->as_string();
    }
    if (has_nul(client) || client.size() > limits.name_bytes)
        refuse_whole("invalid_request",
                     "clientId must be at most " + std::to_string(limits.name_bytes) + " bytes without NUL");
    return client;
}

push_request read_push(const json_value& body, std::string_view header_client_id,
                       const request_limits& limits) {
    const auto* object = body.as_object();
    if (object == nullptr) refuse_whole("invalid_request", "the body must be a JSON object");
    push_request push;
    push.client_id = read_client_id(*object, header_client_id, limits);
    const auto* since = given(*object, "since");
    const auto* since_text = since != nullptr ? since->as_string() : nullptr;
    push.since = parse_since(since_text != nullptr ? *since_text : std::string_view{});
    if (since_text != nullptr && !push.since.from_epoch) push.author_clock = clock_in_since(*since_text);
    read_schema_version(*object, "schemaVersion");
    const auto* changes = given(*object, "changes");
    if (changes == nullptr) return push;
    if (changes->as_array() == nullptr) refuse_whole("invalid_request", "changes must be an array");
    if (changes->as_array()->size() > limits.changes)
        refuse_whole("too_many_changes",
                     "changes has more than " + std::to_string(limits.changes) + " entries");
    push.changes.reserve(changes->as_array()->size());
    std::size_t index = 0;
    for (const auto& given_change : *changes->as_array()) read_change(push, given_change, index++, limits);
    return push;
}

} // namespace

bool usable_client_id_header(std::string_view header, const request_limits& limits) {
    const auto printable = [](char c) { return c >= 0x20 && c < 0x7f; };
    return header.size() <= limits.name_bytes && std::ranges::all_of(header, printable);
}

boost::system::result<push_request, request_fault>
parse_push(std::string_view body, std::string_view header_client_id, const request_limits& limits) {
    const auto parsed = parse_json(body, limits.nesting + levels_around_a_value);
    if (!parsed)
        return request_fault{"invalid_json", "the body can't be read as JSON: " + parsed.error().message};
    try {
        return read_push(*parsed, header_client_id, limits);
    } catch (refused_whole& refused) {
        return std::move(refused.fault);
    }
}

} // namespace mana::sync
