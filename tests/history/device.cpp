#include "tests/history/device.hpp"

#include <algorithm>
#include <stdexcept>

namespace mana::history {

using sync::find_member;
using sync::json_object;
using sync::json_value;
using sync::set_member;

namespace {

constexpr std::size_t most_changes_in_a_push = 200;
constexpr std::string_view beginning = "1970-01-01T00:00:00.000Z";

const json_object& object_in(const json_value& value) {
    if (value.as_object() == nullptr)
        throw std::runtime_error("an object was expected: " + sync::to_json_text(value));
    return *value.as_object();
}

const std::string* text_in(const json_object& object, std::string_view key) {
    const auto* value = find_member(object, key);
    return value != nullptr ? value->as_string() : nullptr;
}

std::string required_text(const json_object& object, std::string_view key) {
    const auto* text = text_in(object, key);
    if (text == nullptr) throw std::runtime_error("a server change lacks " + std::string(key));
    return *text;
}

json_value body_of(const caller& who, const std::string& since, sync::json_array changes) {
    json_object body;
    set_member(body, "clientId", who.client);
    set_member(body, "since", since);
    set_member(body, "changes", json_value{std::move(changes)});
    return json_value{std::move(body)};
}

} // namespace

void set_path(json_value& record, std::string_view path, const json_value& value) {
    auto* members = std::get_if<json_object>(&record.held);
    if (members == nullptr) return;
    const auto dot = path.find('.');
    const std::string step{path.substr(0, dot)};
    if (dot == std::string_view::npos) {
        set_member(*members, step, value);
        return;
    }
    const auto* held = find_member(*members, step);
    json_value inner = held != nullptr && sync::truthy(*held) ? *held : json_value{json_object{}};
    set_path(inner, path.substr(dot + 1), value);
    set_member(*members, step, std::move(inner));
}

json_value at_path(const json_value& record, std::string_view path) {
    const auto* members = record.as_object();
    if (members == nullptr) return {};
    const auto dot = path.find('.');
    const auto* held = find_member(*members, path.substr(0, dot));
    if (held == nullptr) return {};
    return dot == std::string_view::npos ? *held : at_path(*held, path.substr(dot + 1));
}

json_value json(std::string_view text) {
    return sync::parse_stored_json(text);
}

json_value plain(const json_value& record) {
    if (record.as_object() == nullptr) return record;
    json_object kept;
    for (const auto& member : *record.as_object())
        if (member.key != "id" && !member.value.is_null()) kept.push_back(member);
    return json_value{std::move(kept)};
}

device::device(server& to, caller who, std::vector<std::string> tables)
    : server_(to), who_(std::move(who)), tables_(std::move(tables)), clock_(to.now()) {
    for (const auto& table : tables_) cursors_[table] = beginning;
}

// Local writes.

void device::add(const std::string& id, std::string_view data) {
    if (holds(id)) throw std::logic_error("the store holds " + id + " already");
    auto& record = records_[{tables_.front(), id}];
    record.value = json(data);
    set_member(std::get<json_object>(record.value.held), "id", id);
    for (const auto& member : object_in(record.value))
        if (member.key != "id") record.fields[member.key] = {now(), true};
    auto change = change_of(id, "insert");
    set_member(change, "data", record.value);
    enqueue(std::move(change));
}

void device::write(const std::string& id, const json_object& fields) {
    auto& record = local(id);
    for (const auto& [field, value] : fields) {
        set_path(record.value, field, value);
        record.fields[field] = {now(), true};
    }
}

void device::edit(const std::string& id, std::string_view fields) {
    const auto given = json(fields);
    write(id, object_in(given));
    auto change = change_of(id, "update");
    set_member(change, "fields", fields_of(object_in(given)));
    enqueue(std::move(change));
}

void device::soft_delete(const std::string& id, std::string_view more_fields) {
    auto fields = object_in(json(more_fields));
    set_member(fields, "deletedAt", now());
    write(id, fields);
    auto change = change_of(id, "delete");
    set_member(change, "fields", fields_of(fields));
    set_member(change, "deletedAt", now());
    enqueue(std::move(change));
}

void device::undelete(const std::string& id) {
    write(id, object_in(json(R"({"deletedAt":null})")));
    auto change = change_of(id, "update");
    json_object field;
    set_member(field, "at", now());
    json_object fields;
    set_member(fields, "deletedAt", json_value{std::move(field)});
    set_member(change, "fields", json_value{std::move(fields)});
    enqueue(std::move(change));
}

void device::hard_delete(const std::string& id) {
    purge(id);
    enqueue(change_of(id, "delete"));
}

void device::purge(const std::string& id) {
    records_.erase({tables_.front(), id});
}

void device::wipe() {
    records_.clear();
    queue_.clear();
    for (auto& [table, cursor] : cursors_) cursor = beginning;
}

json_object device::change_of(const std::string& id, std::string op) const {
    json_object change;
    set_member(change, "table", tables_.front());
    set_member(change, "id", id);
    set_member(change, "op", std::move(op));
    return change;
}

void device::enqueue(json_object change) {
    ++changes_made_;
    if (extras_.named_changes)
        set_member(change, "origin", who_.client + '/' + std::to_string(changes_made_));
    const auto space = extras_.spaces.find(required_text(change, "id"));
    if (space != extras_.spaces.end()) set_member(change, "spaceId", space->second);
    queue_.emplace_back(std::move(change));
}

json_value device::fields_of(const json_object& fields) const {
    json_object timed;
    for (const auto& [field, value] : fields) {
        json_object held;
        set_member(held, "value", value);
        set_member(held, "at", now());
        set_member(timed, field, json_value{std::move(held)});
    }
    return json_value{std::move(timed)};
}

// Talking to the server.

std::string device::next_body() const {
    std::string since = now();
    for (const auto& [table, cursor] : cursors_) since = std::min(since, cursor);
    const auto count = std::min(queue_.size(), most_changes_in_a_push);
    return sync::to_json_text(
        body_of(who_, since, {queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(count)}));
}

device::request device::begin_push() const {
    return {next_body(), std::min(queue_.size(), most_changes_in_a_push)};
}

void device::finish_push(const request& sent, const json_value& answer) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(sent.changes));
    // First: where the user has joined the space meanwhile, the same answer brings the record.
    if (extras_.drops_refused) drop_refused(answer);
    apply(answer);
    for (auto& [table, cursor] : cursors_) cursor = required_text(object_in(answer), "syncedUntil");
}

json_value device::push() {
    const auto sent = begin_push();
    auto answer = json(server_.push(who_, sent.body));
    finish_push(sent, answer);
    return answer;
}

void device::drop_refused(const json_value& answer) {
    const auto* refused = find_member(object_in(answer), "rejected");
    if (refused == nullptr || refused->as_array() == nullptr) return;
    for (const auto& one : *refused->as_array()) {
        const auto id = required_text(object_in(one), "id");
        purge(id);
        std::erase_if(queue_,
                      [&](const json_value& change) { return required_text(object_in(change), "id") == id; });
    }
}

void device::push_and_lose_the_answer() {
    server_.push(who_, next_body());
}

json_value device::pull_page(const std::string& table) {
    auto answer = json(server_.pull(who_, table, cursors_.at(table), false));
    finish_pull(table, answer);
    return answer;
}

void device::finish_pull(const std::string& table, const json_value& answer) {
    apply(answer);
    cursors_[table] = required_text(object_in(answer), "syncedUntil");
}

void device::pull() {
    for (const auto& table : tables_)
        while (find_member(object_in(pull_page(table)), "hasMore") != nullptr) {
        }
}

void device::pull_and_close() {
    apply(json(server_.pull(who_, tables_.front(), cursors_.at(tables_.front()), false)));
}

void device::sync() {
    while (!queue_.empty()) push();
    pull();
}

// What the server says.

void device::apply(const json_value& answer) {
    const auto* changes = find_member(object_in(answer), "serverChanges");
    if (changes == nullptr || changes->as_array() == nullptr)
        throw std::runtime_error("an answer lacks serverChanges");
    receive(*changes->as_array());
}

void device::receive(const sync::json_array& changes) {
    for (const auto& change : changes) apply_change(object_in(change));
}

void device::apply_change(const json_object& change) {
    const local_key key{required_text(change, "table"), required_text(change, "id")};
    const auto op = required_text(change, "op");
    const auto* data = find_member(change, "data");
    const auto* fields = find_member(change, "fields");
    if (find_member(change, "deletedAt") != nullptr)
        throw std::runtime_error("a soft delete goes out as an update");
    if (op == "delete")
        records_.erase(key);
    else if (op == "insert" && data != nullptr)
        apply_insert(key, object_in(*data));
    else if (op == "update" && fields != nullptr)
        apply_update(key, object_in(*fields));
    else
        throw std::runtime_error("a client can't read " + sync::to_json_text(json_value{change}));
}

void device::apply_insert(const local_key& key, const json_object& data) {
    const auto* told = text_in(data, "updatedAt");
    if (told == nullptr) told = text_in(data, "createdAt");
    const std::string time = told != nullptr ? *told : now();
    const bool created = records_.try_emplace(key).second;
    for (const auto& [field, value] : data)
        if (field != "id") set(key, created, field, value, time);
}

void device::apply_update(const local_key& key, const json_object& fields) {
    const bool created = records_.try_emplace(key).second;
    for (const auto& [field, held] : fields) {
        const auto* value = find_member(object_in(held), "value");
        if (value == nullptr)
            throw std::runtime_error("a field without value makes a client drop the change");
        set(key, created, field, *value, required_text(object_in(held), "at"));
    }
}

/// A client makes a record it lacks of the fields as they are named, so a dotted one becomes a key of that
/// name.
void device::set(const local_key& key, bool created, const std::string& field, const json_value& value,
                 const std::string& time) {
    auto& record = records_.at(key);
    auto& held = record.fields[field];
    if (time < held.at) return;
    if (held.by_user)
        if (auto was = at_path(record.value, field); !same(was, value))
            toasts_.push_back({key.first, key.second, field, std::move(was), value});
    held = {time, false};
    if (created)
        set_member(std::get<json_object>(record.value.held), field, value);
    else
        set_path(record.value, field, value);
}

json_value device::record(const std::string& id) const {
    const auto found = records_.find({tables_.front(), id});
    return found != records_.end() ? plain(found->second.value) : json_value{};
}

std::string device::time_of(const std::string& id, const std::string& field) const {
    const auto found = records_.find({tables_.front(), id});
    if (found == records_.end()) return {};
    const auto held = found->second.fields.find(field);
    return held != found->second.fields.end() ? held->second.at : std::string{};
}

bool device::is_users(const std::string& id, const std::string& field) const {
    const auto found = records_.find({tables_.front(), id});
    if (found == records_.end()) return false;
    const auto held = found->second.fields.find(field);
    return held != found->second.fields.end() && held->second.by_user;
}

} // namespace mana::history
