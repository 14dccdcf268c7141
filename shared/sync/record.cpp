#include "shared/sync/record.hpp"

#include <stdexcept>
#include <utility>

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

} // namespace

field_map::const_iterator first_inside(const field_map& fields, std::string_view path) {
    return fields.lower_bound(inside_of{path});
}
field_map::iterator first_inside(field_map& fields, std::string_view path) {
    return fields.lower_bound(inside_of{path});
}

std::size_t stored_bytes(std::string_view name, const value_text& value) {
    constexpr std::size_t times_and_author = 120;
    return 2 * name.size() + value.text.size() + times_and_author;
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
    state.bytes = values.size() + meta.size();
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

} // namespace mana::sync
