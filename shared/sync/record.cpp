#include "shared/sync/record.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <utility>
#include <vector>

namespace mana::sync {

std::string scope_of_user(std::string_view user) {
    return "u:" + std::string(user);
}
std::string scope_of_space(std::string_view space) {
    return "s:" + std::string(space);
}

bool is_shared_space(std::string_view space) {
    return !space.empty() && !space.starts_with("_personal:");
}

namespace {

void put_time(json_object& meta, std::string_view key, instant time) {
    set_member(meta, std::string(key), to_text(time));
}

json_object meta_of(const held_field& field, std::string_view home_user) {
    json_object meta;
    const instant by_default = field.claimed.value_or(epoch);
    if (field.claimed) put_time(meta, "at", *field.claimed);
    if (field.compared != by_default) put_time(meta, "compared", field.compared);
    if (field.shown != by_default) put_time(meta, "shown", field.shown);
    if (field.hold) put_time(meta, "hold", *field.hold);
    if (field.user != home_user) set_member(meta, "user", field.user);
    if (!field.client.empty()) set_member(meta, "client", field.client);
    return meta;
}

std::optional<instant> time_of(const json_object& meta, std::string_view key) {
    const auto* value = find_member(meta, key);
    if (value == nullptr) return std::nullopt;
    const auto* text = value->as_string();
    const auto time = text != nullptr ? parse_instant(*text) : std::nullopt;
    if (!time) throw std::invalid_argument("record state: \"" + std::string(key) + "\" is no time");
    return time;
}

std::string text_of(const json_object& meta, std::string_view key, std::string_view otherwise) {
    const auto* value = find_member(meta, key);
    return std::string(value != nullptr && value->as_string() != nullptr ? *value->as_string() : otherwise);
}

const json_object& object_of(const json_value& value) {
    if (value.as_object() == nullptr) throw std::invalid_argument("record state: an object was expected");
    return *value.as_object();
}

json_object* as_object(json_value& value) {
    return std::get_if<json_object>(&value.held);
}

/// The place of one step of a path, made where an object lacks it; null where there is no place.
json_value* step_into(json_value& outer, const std::string& key) {
    if (auto* items = std::get_if<json_array>(&outer.held)) {
        std::size_t at = 0;
        const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), at);
        const bool is_index = error == std::errc{} && end == key.data() + key.size() && at <= items->size();
        if (!is_index) return nullptr;
        if (at == items->size()) items->emplace_back();
        return &(*items)[at];
    }
    auto* members = as_object(outer);
    if (members == nullptr) return nullptr;
    if (find_member(*members, key) == nullptr) set_member(*members, key, {});
    return const_cast<json_value*>(find_member(*members, key)); // NOLINT: ours, found through a const look-up
}

std::vector<std::string> steps_of(std::string_view field) {
    std::vector<std::string> steps;
    for (std::size_t from = 0;;) {
        const auto dot = field.find('.', from);
        steps.emplace_back(field.substr(from, dot - from));
        if (dot == std::string_view::npos) return steps;
        from = dot + 1;
    }
}

/// As the existing client sets a path: what is false on the way becomes an object; another value stays as it
/// is.
void set_path(json_value& record, std::string_view field, const json_value& value) {
    auto steps = steps_of(field);
    json_value* place = &record;
    for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
        place = step_into(*place, steps[i]);
        if (place == nullptr) return;
        if (!truthy(*place)) *place = json_object{};
    }
    place = step_into(*place, steps.back());
    if (place != nullptr) *place = value;
}

const json_value* look_up(const json_value& record, std::string_view field) {
    const json_value* place = &record;
    for (const auto& step : steps_of(field)) {
        const auto* members = place->as_object();
        const auto* items = place->as_array();
        std::size_t at = 0;
        if (items != nullptr) std::from_chars(step.data(), step.data() + step.size(), at);
        if (members != nullptr)
            place = find_member(*members, step);
        else if (items != nullptr && at < items->size())
            place = &(*items)[at];
        else
            return nullptr;
        if (place == nullptr) return nullptr;
    }
    return place;
}

} // namespace

stored_record to_stored(const record_state& state, std::string_view home_user, bool dirty_only) {
    stored_record stored{"{", "{"};
    for (const auto& [name, field] : state.fields) {
        if (dirty_only && !field.dirty) continue;
        for (auto* text : {&stored.values, &stored.meta}) {
            if (text->size() > 1) *text += ',';
            append_json_string(*text, name);
            *text += ':';
        }
        append_json_text(stored.values, field.value);
        append_json_text(stored.meta, meta_of(field, home_user));
    }
    stored.values += '}';
    stored.meta += '}';
    return stored;
}

record_state from_stored(std::string_view values, std::string_view meta, std::string_view home_user) {
    const auto value_object = parse_stored_json(values);
    const auto meta_object = parse_stored_json(meta);
    record_state state;
    for (const auto& [name, field_meta] : object_of(meta_object)) {
        const auto& times = object_of(field_meta);
        const auto* value = find_member(object_of(value_object), name);
        held_field field;
        if (value != nullptr) field.value = *value;
        field.claimed = time_of(times, "at");
        const instant by_default = field.claimed.value_or(epoch);
        field.compared = time_of(times, "compared").value_or(by_default);
        field.shown = time_of(times, "shown").value_or(by_default);
        field.hold = time_of(times, "hold");
        field.user = text_of(times, "user", home_user);
        field.client = text_of(times, "client", {});
        state.fields.emplace_hint(state.fields.end(), name, std::move(field));
    }
    return state;
}

json_value value_at(const record_state& state, std::string_view field) {
    // A field's own value counts even where what lies around it is no object, and no client can show it.
    const auto own = state.fields.find(field);
    const auto inner = state.fields.lower_bound(std::string(field) + '.');
    const bool has_inner = inner != state.fields.end() && lies_inside(inner->first, field);
    if (own != state.fields.end() && !has_inner) return own->second.value;

    std::vector<std::pair<std::string_view, const json_value*>> family;
    const std::string root{root_of(field)};
    for (auto it = state.fields.lower_bound(root); it != state.fields.end() && it->first.starts_with(root);
         ++it)
        if (root_of(it->first) == root) family.emplace_back(it->first, &it->second.value);
    std::ranges::stable_sort(family, {}, [](const auto& held) { return path_depth(held.first); });
    json_value record = json_object{};
    for (const auto& [name, value] : family) set_path(record, name, *value);
    const auto* found = look_up(record, field);
    return found != nullptr ? *found : json_value{};
}

} // namespace mana::sync
