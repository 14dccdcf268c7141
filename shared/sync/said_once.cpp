#include "shared/sync/said_once.hpp"

#include "shared/sync/json_text.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace mana::sync {

namespace {

/// Whether a client, sent an older part of an object, would put it in there.
bool can_have_parts(std::string_view value) {
    constexpr std::string_view none_inside = "\"-123456789t";
    return value == "\"\"" || none_inside.find(value.front()) == std::string_view::npos;
}

bool needs_a_look(const page_row& row) {
    return row.only_objects || row.was_shown || !row.readers.empty();
}

struct fields_of_row {
    name_set said;
    name_set held; ///< its author holds them
};

fields_of_row fields_in(const page_row& row) {
    fields_of_row fields;
    object_reader members;
    for (members.read(row.data); members.next();) {
        if (!is_field(members.name())) continue;
        const bool held = (row.only_objects || row.readers.contains(members.name())) &&
                          !is_dotted(members.name()) && !can_have_parts(members.value());
        (held ? fields.held : fields.said).emplace(members.name());
    }
    return fields;
}

/// Whether a write stands as its author wrote it. One that was pushed before, too, if it is shown with the
/// time that it claims: then its author was shown nothing later.
bool is_as_given(const held_field& held, const field_write& write) {
    return held.fresh ||
           (held.claimed == write.at && held.shown == write.at && held.value.is_same(write.value));
}

} // namespace

said_once::said_once(const std::vector<change>& changes, const writer& author, instant receipt,
                     const record_map& records, const std::vector<wire_change>& repairs)
    : author_{author.user, author.client, receipt}, of_push_(true) {
    if (!author.client.empty())
        for (const auto& given : changes) note(given, author, records);
    for (const auto& told : repairs) {
        auto& record = pushed_[{told.heading.table, told.heading.record_id}];
        if (told.op == operation::remove) record.reset = true;
        for (const auto& field : told.fields) record.told.emplace(root_of(field.name));
    }
}

void said_once::note(const change& given, const writer& author, const record_map& records) {
    const auto& heading = given.heading;
    const auto found = records.find({home_of(given, author, records), heading.table, heading.record_id});
    if (found == records.end()) return;
    auto& record = pushed_[{heading.table, heading.record_id}];
    record.heading = &heading;
    record.state = &found->second;
    // Whatever the author was shown of it since, or is by this page, goes.
    if (given.hard_delete) record.reset = record.reset_anew = true;
    for (const auto& write : given.writes) {
        const auto held = found->second.fields.find(write.field);
        if (held != found->second.fields.end() && is_as_given(held->second, write)) note_win(record, write);
    }
}

/// The author holds what it wrote, but where it may have been made to drop it since: with the record, or with
/// an object that it was sent again around it; or to put an older part into it.
void said_once::note_win(pushed_record& record, const field_write& write) {
    const auto root = root_of(write.field);
    const auto& state = *record.state;
    if (state.dropped || (state.marked && can_have_parts(write.value.text)))
        record.whole.emplace(root);
    else
        (is_dotted(write.field) ? record.parts : record.won).insert(write.field);
}

said_once::pushed_record* said_once::find(const page_row& row) {
    if (pushed_.empty()) return nullptr;
    const auto found = pushed_.find({row.table, row.record_id});
    return found != pushed_.end() ? &found->second : nullptr;
}

std::vector<said_elsewhere> said_once::sift(std::span<const page_row> rows) {
    std::map<record_name, rows_of_record> records;
    for (const auto& row : rows) {
        ++records[{row.table, row.record_id}].count;
        auto* pushed = row.op == to_text(operation::remove) ? find(row) : nullptr;
        if (pushed == nullptr || pushed->reset || pushed->state == nullptr) continue;
        pushed->reset = pushed->reset_anew = true;
    }
    std::vector<said_elsewhere> sifted;
    sifted.reserve(rows.size());
    for (auto place = rows.rbegin(); place != rows.rend(); ++place) {
        const auto& row = *place;
        auto& behind = records.at({row.table, row.record_id});
        auto* pushed = find(row);
        sifted.push_back(pushed == nullptr && behind.count == 1 && !needs_a_look(row)
                             ? said_elsewhere{}
                             : sift_readable(row, behind, pushed));
    }
    std::ranges::reverse(sifted);
    return sifted;
}

said_elsewhere said_once::sift_readable(const page_row& row, rows_of_record& behind, pushed_record* pushed) {
    try {
        return sift_row(row, behind, pushed);
    } catch (const std::invalid_argument&) {
        return {};
    }
}

said_elsewhere said_once::sift_row(const page_row& row, rows_of_record& behind, pushed_record* pushed) {
    if (row.was_shown || (pushed != nullptr && pushed->reset)) return {{}, nullptr, true};
    if (row.op == to_text(operation::remove)) {
        behind.removed = true;
        return {};
    }
    if (behind.removed) return {{}, nullptr, true};

    auto [fields, unsaid] = fields_in(row);
    // An undelete brings all fields of its record (rule 7).
    if (pushed != nullptr && fields.contains("deletedAt")) pushed->tell_objects_whole();
    bool all = !fields.empty() || !unsaid.empty();
    for (const auto& field : fields) {
        if (pushed != nullptr && pushed->wrote_inside(field)) pushed->whole.emplace(root_of(field));
        if (has_path(behind.later, field))
            unsaid.insert(field);
        else if (pushed == nullptr || !pushed->says(field))
            all = false;
    }
    behind.later.insert(fields.begin(), fields.end());
    return {std::move(unsaid), pushed, all};
}

std::vector<wire_change> said_once::repairs(std::vector<wire_change> given) const {
    std::erase_if(given, [&](const wire_change& told) {
        const auto found = pushed_.find({told.heading.table, told.heading.record_id});
        return found != pushed_.end() && found->second.reset_anew;
    });
    for (const auto& [name, record] : pushed_) {
        if (record.heading == nullptr) continue;
        const auto heading = bare(*record.heading);
        if (record.reset_anew) {
            std::ranges::move(reset_of(heading, *record.state), std::back_inserter(given));
            continue;
        }
        if (record.reset) continue;
        std::vector<std::string> names;
        for (const auto& [field, held] : record.state->fields)
            if (!record.told.contains(root_of(field)) &&
                (record.whole.contains(root_of(field)) || record.parts.contains(field)))
                names.push_back(field);
        std::ranges::move(changes_of(heading, *record.state, names, author_), std::back_inserter(given));
    }
    return given;
}

} // namespace mana::sync
