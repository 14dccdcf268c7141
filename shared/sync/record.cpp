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

const std::string& shared_name::text() const {
    static const std::string none;
    return text_ != nullptr ? *text_ : none;
}

namespace {

/// Stands for `path` and a dot, where names are compared.
struct inside_of {
    std::string_view path;

    friend bool operator<(const std::string& name, inside_of place) {
        const auto order = name.compare(0, place.path.size(), place.path);
        if (order != 0 || name.size() == place.path.size()) return order <= 0;
        return static_cast<unsigned char>(name[place.path.size()]) < static_cast<unsigned char>('.');
    }
};

void put_time(object_writer& meta, std::string_view key, instant time) {
    auto& out = meta.member(key);
    out += '"';
    append_text(out, time);
    out += '"';
}

void append_meta(std::string& out, const held_field& field, std::string_view home_user) {
    object_writer meta(out);
    const instant by_default = field.claimed.value_or(epoch);
    if (field.claimed) put_time(meta, "at", *field.claimed);
    if (!field.client.empty()) append_json_string(meta.member("client"), field.client.text());
    if (field.compared != by_default) put_time(meta, "compared", field.compared);
    if (field.hold) put_time(meta, "hold", *field.hold);
    if (field.shown != by_default) put_time(meta, "shown", field.shown);
    if (field.user.text() != home_user) append_json_string(meta.member("user"), field.user.text());
    meta.close();
}

/// Reads the times and authors of a record's fields. Most fields of a record have the same author.
class meta_reader {
  public:
    explicit meta_reader(std::string_view home_user) : home_user_(home_user) {}

    held_field read(std::string_view meta) {
        held_field field;
        field.user = home_user_;
        std::optional<instant> compared;
        std::optional<instant> shown;
        for (members_.read(meta); members_.next();) {
            const auto key = members_.name();
            if (key == "at") field.claimed = time_in(members_);
            if (key == "compared") compared = time_in(members_);
            if (key == "shown") shown = time_in(members_);
            if (key == "hold") field.hold = time_in(members_);
            if (key == "user") field.user = users_.named(members_.value());
            if (key == "client") field.client = clients_.named(members_.value());
        }
        const instant by_default = field.claimed.value_or(epoch);
        field.compared = compared.value_or(by_default);
        field.shown = shown.value_or(by_default);
        return field;
    }

  private:
    struct last_name {
        std::string as_text;
        shared_name held;

        const shared_name& named(std::string_view text) {
            if (text == as_text) return held;
            held = read_json_string(text);
            as_text = text;
            return held;
        }
    };
    object_reader members_;
    shared_name home_user_;
    last_name users_;
    last_name clients_;

    static instant time_in(const object_reader& member) {
        const auto text = member.value();
        const bool quoted = text.size() >= 2 && text.front() == '"';
        const auto time = quoted ? parse_instant(text.substr(1, text.size() - 2)) : std::nullopt;
        if (!time)
            throw std::invalid_argument("record state: \"" + std::string(member.name()) + "\" is no time");
        return *time;
    }
};

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
void set_path(json_value& record, std::string_view field, json_value value) {
    auto steps = steps_of(field);
    json_value* place = &record;
    for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
        place = step_into(*place, steps[i]);
        if (place == nullptr) return;
        if (!truthy(*place)) *place = json_object{};
    }
    place = step_into(*place, steps.back());
    if (place != nullptr) *place = std::move(value);
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

field_map::const_iterator first_inside(const field_map& fields, std::string_view path) {
    return fields.lower_bound(inside_of{path});
}
field_map::iterator first_inside(field_map& fields, std::string_view path) {
    return fields.lower_bound(inside_of{path});
}

stored_record to_stored(const record_state& state, std::string_view home_user, bool dirty_only) {
    stored_record stored;
    object_writer values(stored.values);
    object_writer meta(stored.meta);
    for (const auto& [name, field] : state.fields) {
        if (dirty_only && !field.dirty) continue;
        values.member(name) += field.value.text;
        append_meta(meta.member(name), field, home_user);
    }
    values.close();
    meta.close();
    return stored;
}

record_state from_stored(std::string_view values, std::string_view meta, std::string_view home_user) {
    record_state state;
    meta_reader reader(home_user);
    object_reader fields;
    for (fields.read(meta); fields.next();)
        state.fields.insert_or_assign(std::string(fields.name()), reader.read(fields.value()));
    for (fields.read(values); fields.next();) {
        const auto field = state.fields.find(fields.name());
        if (field != state.fields.end()) field->second.value.text = fields.value();
    }
    return state;
}

field_family::field_family(const record_state& state, std::string_view root) : record_(json_object{}) {
    std::vector<std::pair<std::string_view, const value_text*>> family;
    const auto outermost = state.fields.find(root);
    if (outermost != state.fields.end()) family.emplace_back(root, &outermost->second.value);
    for (auto it = first_inside(state.fields, root); it != state.fields.end() && lies_inside(it->first, root);
         ++it)
        family.emplace_back(it->first, &it->second.value);
    std::ranges::stable_sort(family, {}, [](const auto& held) { return path_depth(held.first); });
    for (const auto& [name, value] : family) set_path(record_, name, *value);
}

json_value field_family::value_at(std::string_view field) const {
    const auto* found = look_up(record_, field);
    return found != nullptr ? *found : json_value{};
}

const value_text* own_value_at(const record_state& state, std::string_view field) {
    const auto own = state.fields.find(field);
    const auto inner = first_inside(state.fields, field);
    const bool has_inner = inner != state.fields.end() && lies_inside(inner->first, field);
    return own != state.fields.end() && !has_inner ? &own->second.value : nullptr;
}

json_value value_at(const record_state& state, std::string_view field) {
    if (const auto* own = own_value_at(state, field)) return *own;
    return field_family(state, root_of(field)).value_at(field);
}

} // namespace mana::sync
