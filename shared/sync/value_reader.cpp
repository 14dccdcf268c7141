#include "shared/sync/value_reader.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <map>
#include <utility>
#include <vector>

namespace mana::sync {

namespace {

/// What is held inside a path, by what its name has behind the path.
struct inner_value {
    std::string_view rest;
    const value_text* value;
};
using inner_values = std::vector<inner_value>;

/// What is held at one step of a path, and inside it.
struct branch {
    const value_text* own = nullptr;
    inner_values inner;
};
using branches = std::map<std::string_view, branch>;

branches by_step(const inner_values& inner) {
    branches steps;
    for (const auto& [rest, value] : inner) {
        const auto dot = rest.find('.');
        auto& step = steps[rest.substr(0, dot)];
        if (dot == std::string_view::npos)
            step.own = value;
        else
            step.inner.push_back({rest.substr(dot + 1), value});
    }
    return steps;
}

void put_inside(json_value& outer, const inner_values& inner);

void put_members(json_object& members, const branches& steps) {
    json_object all;
    all.reserve(members.size() + steps.size());
    auto member = members.begin();
    for (const auto& [step, held] : steps) {
        for (; member != members.end() && member->key < step; ++member) all.push_back(std::move(*member));
        const bool is_there = member != members.end() && member->key == step;
        all.push_back(is_there ? std::move(*member++) : json_member{std::string(step), {}});
        auto& place = all.back().value;
        if (held.own != nullptr) place = *held.own;
        put_inside(place, held.inner);
    }
    std::move(member, members.end(), std::back_inserter(all));
    members = std::move(all);
}

/// The index that a step names in an array; nothing where it names none.
std::optional<std::size_t> index_in(std::string_view step) {
    std::size_t at = 0;
    const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), at);
    const bool is_index = error == std::errc{} && end == step.data() + step.size();
    return is_index ? std::optional(at) : std::nullopt;
}

/// The place of one step, made where it is the next one; null where there is none.
json_value* item_at(json_array& items, std::string_view step) {
    const auto at = index_in(step);
    if (!at || *at > items.size()) return nullptr;
    if (*at == items.size()) items.emplace_back();
    return &items[*at];
}

void put_items(json_array& items, const branches& steps) {
    for (const auto& [step, held] : steps) {
        auto* const place = held.own != nullptr ? item_at(items, step) : nullptr;
        if (place != nullptr) *place = *held.own;
    }
    for (const auto& [step, held] : steps) {
        auto* const place = !held.inner.empty() ? item_at(items, step) : nullptr;
        if (place != nullptr) put_inside(*place, held.inner);
    }
}

/// As the existing client sets paths, the outer ones first: what is false on the way becomes an object;
/// another value stays as it is. It calls itself once a level, and `inner` has at most most_levels.
void put_inside(json_value& outer, const inner_values& inner) { // NOLINT(misc-no-recursion)
    if (inner.empty()) return;
    if (!truthy(outer)) outer = json_object{};
    if (auto* items = std::get_if<json_array>(&outer.held)) put_items(*items, by_step(inner));
    if (auto* members = std::get_if<json_object>(&outer.held)) put_members(*members, by_step(inner));
}

const json_value* step_into(const json_value& place, std::string_view step) {
    if (const auto* members = place.as_object()) return find_member(*members, step);
    const auto* items = place.as_array();
    const auto at = items != nullptr ? index_in(step) : std::nullopt;
    return at && *at < items->size() ? &(*items)[*at] : nullptr;
}

const json_value* look_up(const json_value& whole, std::string_view path) {
    const json_value* place = &whole;
    while (place != nullptr) {
        const auto dot = path.find('.');
        place = step_into(*place, path.substr(0, dot));
        if (dot == std::string_view::npos) break;
        path.remove_prefix(dot + 1);
    }
    return place;
}

using named_field = field_map::value_type;

/// The field that is held around a path, the innermost one; null where there is none.
const named_field* innermost_around(const field_map& fields, std::string_view path) {
    const named_field* found = nullptr;
    for_each_around(fields, path, [&](const named_field& held) {
        if (found == nullptr) found = &held;
    });
    return found;
}

bool has_inside(const field_map& fields, std::string_view path) {
    const auto first = first_inside(fields, path);
    return first != fields.end() && lies_inside(first->first, path);
}

} // namespace

value_reader::value_reader(std::size_t most_bytes) : bytes_left_(most_bytes) {}

std::optional<value_text> value_reader::at(const record_state& state, std::string_view field) {
    const bool inside = has_inside(state.fields, field);
    const auto own = state.fields.find(field);
    if (own != state.fields.end()) return inside ? around(own->second, state, field) : own->second.value;
    const auto* outer = innermost_around(state.fields, field);
    if (outer == nullptr) return inside ? with_inside({}, state, field) : value_text{};
    const auto* whole = read(outer->second);
    if (whole == nullptr) return std::nullopt;
    const auto* part = look_up(*whole, field.substr(outer->first.size() + 1));
    if (inside) return with_inside(part != nullptr ? *part : json_value{}, state, field);
    return part != nullptr ? written(*part) : value_text{};
}

std::optional<value_text> value_reader::around(const held_field& own, const record_state& state,
                                               std::string_view field) {
    if (!take(own.value.text.size())) return std::nullopt;
    return with_inside(own.value, state, field);
}

std::optional<value_text> value_reader::with_inside(json_value outer, const record_state& state,
                                                    std::string_view field) {
    inner_values inner;
    for (auto it = first_inside(state.fields, field);
         it != state.fields.end() && lies_inside(it->first, field); ++it) {
        if (!take(it->first.size() + it->second.value.text.size())) return std::nullopt;
        const auto rest = std::string_view(it->first).substr(field.size() + 1);
        if (path_depth(rest) < most_levels) inner.push_back({rest, &it->second.value});
    }
    put_inside(outer, inner);
    return written(outer);
}

const json_value* value_reader::read(const held_field& held) {
    const auto before = read_.find(&held);
    if (before != read_.end()) return &before->second;
    if (!take(held.value.text.size())) return nullptr;
    return &read_.emplace(&held, held.value).first->second;
}

std::optional<value_text> value_reader::written(const json_value& value) {
    value_text text{value};
    if (!take(text.text.size())) return std::nullopt;
    return text;
}

bool value_reader::take(std::size_t bytes) {
    const bool enough = bytes <= bytes_left_;
    bytes_left_ -= std::min(bytes, bytes_left_);
    return enough;
}

void value_reader::forget(const held_field& held) {
    read_.erase(&held);
}

json_value value_at(const record_state& state, std::string_view field) {
    return *value_reader(std::numeric_limits<std::size_t>::max()).at(state, field);
}

} // namespace mana::sync
