#include "shared/sync/record.hpp"

#include <algorithm>
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

/// Its user is left out where that is the home's.
void append_hold(std::string& out, const insert_hold& hold, std::string_view home_user) {
    object_writer text(out);
    append_json_string(text.member("client"), hold.client.text());
    put_time(text, "likely", hold.likely);
    if (hold.replaced) put_time(text, "replaced", *hold.replaced);
    put_time(text, "until", hold.until);
    if (hold.user.text() != home_user) append_json_string(text.member("user"), hold.user.text());
    text.close();
}

void append_holds(std::string& out, const insert_holds& holds, std::string_view home_user) {
    out += '[';
    for (const auto& hold : holds) {
        if (&hold != holds.data()) out += ',';
        append_hold(out, hold, home_user);
    }
    out += ']';
}

std::optional<std::string> text_of(const json_object& object, std::string_view key) {
    const auto* value = find_member(object, key);
    return value != nullptr && value->as_string() != nullptr ? std::optional(*value->as_string())
                                                             : std::nullopt;
}

std::optional<instant> time_of(const json_object& object, std::string_view key) {
    const auto text = text_of(object, key);
    return text ? parse_instant(*text) : std::nullopt;
}

void append_meta(std::string& out, const held_field& field, std::string_view home_user) {
    object_writer meta(out);
    const instant by_default = field.claimed.value_or(epoch);
    if (field.claimed) put_time(meta, "at", *field.claimed);
    if (!field.client.empty()) append_json_string(meta.member("client"), field.client.text());
    if (field.compared != by_default) put_time(meta, "compared", field.compared);
    if (!field.holds.empty()) append_holds(meta.member("holds"), field.holds, home_user);
    if (field.quiet) meta.member("quiet") += "true";
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
        std::optional<instant> until;
        for (members_.read(meta); members_.next();) {
            const auto key = members_.name();
            if (key == "at") field.claimed = time_in(members_);
            if (key == "compared") compared = time_in(members_);
            if (key == "shown") shown = time_in(members_);
            if (key == "hold") until = time_in(members_);
            if (key == "holds") field.holds = holds_in(members_.value());
            if (key == "quiet") field.quiet = true;
            if (key == "user") field.user = users_.named(members_.value());
            if (key == "client") field.client = clients_.named(members_.value());
        }
        const instant by_default = field.claimed.value_or(epoch);
        field.compared = compared.value_or(by_default);
        field.shown = shown.value_or(by_default);
        // As versions before wrote it.
        if (until) add_hold(field.holds, {field.user, field.client, *until, *until, {}});
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
    /// Those of a record's fields are mostly of one insert.
    const insert_holds& holds_in(std::string_view text) {
        if (text != holds_text_) {
            holds_ = holds_from_stored(text, home_user_.text());
            holds_text_ = text;
        }
        return holds_;
    }

    object_reader members_;
    shared_name home_user_;
    std::string holds_text_;
    insert_holds holds_;
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

const insert_hold* find_hold(const insert_holds& holds, std::string_view user, std::string_view client) {
    const auto found =
        std::ranges::find_if(holds, [&](const insert_hold& hold) { return hold.is_of(user, client); });
    return found != holds.end() ? &*found : nullptr;
}

void add_hold(insert_holds& holds, const insert_hold& hold) {
    for (auto& held : holds) {
        if (!held.is_of(hold.user.text(), hold.client.text())) continue;
        held.likely = std::max(held.likely, hold.likely);
        held.until = std::max(held.until, hold.until);
        if (hold.replaced) held.replaced = hold.replaced;
        return;
    }
    holds.push_back(hold);
}

std::string to_stored(const insert_holds& holds, std::string_view home_user) {
    std::string text;
    append_holds(text, holds, home_user);
    return text;
}

insert_holds holds_from_stored(std::string_view text, std::string_view home_user) {
    const auto read = parse_stored_json(text);
    if (read.as_array() == nullptr) throw std::invalid_argument("holds are no list");
    insert_holds holds;
    for (const auto& held : *read.as_array()) {
        const auto* members = held.as_object();
        if (members == nullptr) throw std::invalid_argument("a hold is no object");
        insert_hold hold{text_of(*members, "user").value_or(std::string(home_user)),
                         text_of(*members, "client").value_or(""), epoch, epoch,
                         time_of(*members, "replaced")};
        hold.until = time_of(*members, "until").value_or(epoch);
        hold.likely = time_of(*members, "likely").value_or(hold.until);
        holds.push_back(std::move(hold));
    }
    return holds;
}

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
