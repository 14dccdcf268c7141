#include "shared/sync/shown_row.hpp"

#include "shared/sync/held_rows.hpp"
#include "shared/sync/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

namespace mana::sync {

namespace {

constexpr std::string_view absent;

/// Whether a JSON text is a time in the form that all stored times have: "2026-01-31T09:00:00.000Z".
bool is_stored_time(std::string_view json) {
    constexpr std::string_view form = R"("0000-00-00T00:00:00.000Z")";
    if (json.size() != form.size()) return false;
    for (std::size_t i = 0; i < form.size(); ++i) {
        const bool digit = json[i] >= '0' && json[i] <= '9';
        if (form[i] == '0' ? !digit : json[i] != form[i]) return false;
    }
    return true;
}

/// A member of an object, both sides as they stand in the text; the key without its quotes.
struct member {
    std::string_view key;
    std::string_view value;
};

/// The members of jsonb objects, again and again in the same memory.
class member_list {
  public:
    /// The views live until the next call.
    const std::vector<member>& read(std::string_view object) {
        members_.clear();
        for (reader_.read(object); reader_.next();)
            members_.push_back({reader_.name_as_written(), reader_.value()});
        return members_;
    }

  private:
    object_reader reader_;
    std::vector<member> members_;
};

std::string_view value_of(const std::vector<member>& members, std::string_view key) {
    const auto found = std::ranges::find(members, key, &member::key);
    return found != members.end() ? found->value : absent;
}

/// As a client reads an insert: by one time for all fields (rule 7). Null and none are the same to it.
std::string_view time_of_insert(const std::vector<member>& data) {
    const auto updated = value_of(data, "updatedAt");
    return updated.empty() || updated == "null" ? value_of(data, "createdAt") : updated;
}

/// Text that needs no escape in JSON goes without a look for one.
void put_text(std::string& out, std::string_view key, std::string_view text) {
    out.append(1, '"').append(key).append("\":");
    append_json_string(out, text);
    out += ',';
}

void put_head(std::string& out, const stored_row& row, std::string_view op) {
    out = R"({"eventId":")";
    out.append(row.event_id).append(R"(","schemaVersion":)").append(row.schema_version) += ',';
    put_text(out, "table", row.table);
    put_text(out, "id", row.record_id);
    out.append(R"("op":")").append(op).append(R"(",)");
}

void put_tail(std::string& out, const stored_row& row) {
    if (!row.space.empty()) put_text(out, "spaceId", row.space);
    if (!row.actor.empty() && row.actor.front() == '{') out.append(R"("actor":)").append(row.actor) += ',';
    if (!row.origin.empty()) put_text(out, "origin", row.origin);
    out.back() = '}';
}

json_object object_in(std::string_view text) {
    if (text.empty()) return {};
    auto value = parse_stored_json(text);
    auto* object = std::get_if<json_object>(&value.held);
    return object != nullptr ? std::move(*object) : json_object{};
}

int number_in(std::string_view digits) {
    int number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

logged_change logged(const stored_row& row) {
    logged_change change;
    change.event_id = row.event_id;
    change.heading.table = row.table;
    change.heading.record_id = row.record_id;
    change.heading.schema_version = number_in(row.schema_version);
    change.heading.space = row.space;
    change.heading.origin = row.origin;
    if (!row.actor.empty()) change.heading.actor = parse_stored_json(row.actor);
    change.op = parse_operation(row.op).value_or(operation::update);
    change.data = object_in(row.data);
    change.fields = shown_fields(change.data, object_in(row.field_meta), row.at);
    return change;
}

} // namespace

struct row_writer::reader {
    member_list data;
    member_list times;

    /// The row as its one change, where every value goes as it stands: plain fields, each with its stored
    /// time, in the one order that jsonb gives to both objects. Nothing where the row needs more than that.
    std::optional<std::string> plain(const stored_row& row) {
        std::string out;
        out.reserve(256 + 2 * (row.data.size() + row.field_meta.size()));
        if (row.op == "delete") {
            put_head(out, row, row.op);
            put_tail(out, row);
            return out;
        }
        if (row.data.empty() || row.field_meta.empty()) return std::nullopt;
        const auto& fields = data.read(row.data);
        const auto& shown = times.read(row.field_meta);
        if (!is_plain(fields, shown)) return std::nullopt;
        const bool is_insert = row.op == "insert";
        const bool as_insert = is_insert && reads_as_insert(fields, shown);
        put_head(out, row, as_insert ? "insert" : "update");
        if (!as_insert) put_fields(out, fields, shown);
        if (is_insert) out.append(R"("data":)").append(row.data) += ',';
        put_tail(out, row);
        return out;
    }

    static bool is_plain(const std::vector<member>& fields, const std::vector<member>& shown) {
        auto time = shown.begin();
        for (const auto& [key, value] : fields) {
            if (!is_field(key)) continue;
            if (is_dotted(key) || time == shown.end() || time->key != key || !is_stored_time(time->value))
                return false;
            ++time;
        }
        return time == shown.end() && !shown.empty();
    }

    static bool reads_as_insert(const std::vector<member>& fields, const std::vector<member>& shown) {
        const auto told = time_of_insert(fields);
        return std::ranges::all_of(shown, [&](const member& time) { return time.value == told; });
    }

    static void put_fields(std::string& out, const std::vector<member>& fields,
                           const std::vector<member>& shown) {
        out += R"("fields":{)";
        auto time = shown.begin();
        for (const auto& [key, value] : fields) {
            if (!is_field(key)) continue;
            out.append(1, '"').append(key).append(R"(":{"value":)").append(value);
            out.append(R"(,"at":)").append(time->value).append("},");
            ++time;
        }
        out.back() = '}';
        out += ',';
    }
};

row_writer::row_writer(std::vector<shown_change>& out) : out_(out), reader_(std::make_unique<reader>()) {}
row_writer::~row_writer() = default;

void row_writer::write(const stored_row& row, const record_state* record, const said_elsewhere& but) {
    if (record == nullptr && !but.any()) {
        if (auto text = reader_->plain(row)) {
            out_.push_back({std::string(row.table), row.at, std::move(*text)});
            return;
        }
    }
    auto change_of_row = logged(row);
    if (row.held && record != nullptr)
        show_to_inserter(change_of_row.fields, *row.held, *record, row.settled);
    for (auto& change : changes_of(std::move(change_of_row), record, but)) {
        change.at = row.at;
        out_.push_back(shown(change));
    }
}

} // namespace mana::sync
