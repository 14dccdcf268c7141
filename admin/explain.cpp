// explain: what became of each write to a record.
#include "admin/output.hpp"
#include "admin/postgres_access.hpp"
#include "admin/record_view.hpp"
#include "admin/subcommands.hpp"
#include "shared/sync/json.hpp"

#include <iostream>
#include <stdexcept>

namespace mana::admin {
namespace {

using sync::json_object;
using sync::json_value;

json_value truth(bool is) {
    json_value value;
    value.held = is;
    return value;
}

json_value number(std::int64_t of) {
    json_value value;
    value.held = sync::json_number{std::to_string(of)};
    return value;
}

json_value time_or_null(const std::optional<sync::instant>& time) {
    return time ? json_value{sync::to_text(*time)} : json_value{};
}

std::string writer_of(const std::string& user, const std::string& client) {
    return printable(user) + (client.empty() ? ", no client id" : ", client " + printable(client));
}

std::string claim_in_words(const std::optional<std::string>& claimed) {
    return claimed ? "claimed " + *claimed : "claimed no time";
}

bool lost_to(const store::kept_lost_write& lost, const std::string& scope, const std::string& field) {
    return lost.scope == scope && lost.field == field;
}

// ---- for people ----

void print_lost(const store::kept_lost_write& lost) {
    std::cout << "    lost: " << lost.value << shaded("  (" + lost.reason + ")", shade::doubtful)
              << "\n          " << claim_in_words(lost.claimed) << ", by "
              << writer_of(lost.user, lost.client) << "\n          lost " << to_text(lost.lost_at)
              << ", number " << lost.id << '\n';
}

void print_field(const std::string& name, const sync::held_field& field, const held_record& held,
                 const record_view& view) {
    std::cout << "  " << printable(name) << " = " << sync::to_json_text(field.value) << "\n    "
              << (field.claimed ? "claimed " + sync::to_text(*field.claimed) : std::string{"claimed no time"})
              << ", shown " << sync::to_text(field.shown);
    if (field.claimed && field.compared != *field.claimed)
        std::cout << ", counts as " << sync::to_text(field.compared) << " (claimed too far ahead)";
    std::cout << "\n    by " << writer_of(field.user, field.client) << '\n';
    if (const auto written = held.written.find(name); written != held.written.end()) {
        std::cout << "    written " << to_text(written->second.at) << ", event " << written->second.id;
        if (!written->second.origin.empty()) std::cout << ", origin " << printable(written->second.origin);
        std::cout << '\n';
    } else {
        std::cout << "    its row of the log is gone\n";
    }
    for (const auto& lost : view.lost)
        if (lost_to(lost, held.scope, name)) print_lost(lost);
}

void print_held(const held_record& held, const record_view& view) {
    const auto& state = held.state;
    std::cout << "home: " << scope_in_words(held.scope) << '\n'
              << "tombstone: " << (state.tombstone ? sync::to_text(*state.tombstone) : std::string{"none"})
              << '\n'
              << "marked: " << (state.marked ? "yes, so its clients are sent their own changes too" : "no")
              << '\n';
    if (state.fields.empty()) std::cout << "it is deleted, and holds no field\n";
    for (const auto& [name, field] : state.fields) print_field(name, field, held, view);
}

bool is_told_with_a_field(const store::kept_lost_write& lost, const record_view& view) {
    for (const auto& held : view.held)
        for (const auto& [name, field] : held.state.fields)
            if (lost_to(lost, held.scope, name)) return true;
    return false;
}

// What lost to a tombstone, to a value around it, or was refused.
void print_other_lost(const record_view& view) {
    bool first = true;
    for (const auto& lost : view.lost) {
        if (is_told_with_a_field(lost, view)) continue;
        if (first) std::cout << "lost or refused, of fields that are not held:\n";
        first = false;
        std::cout << "  " << (lost.field.empty() ? std::string{"the whole change"} : printable(lost.field))
                  << '\n';
        print_lost(lost);
    }
}

void print_unseen(const unseen_rows& unseen) {
    if (unseen.waiting > 0)
        std::cout << count_of(unseen.waiting, "row of another program waits", "rows of other programs wait")
                  << " to be taken up\n";
    for (const auto& [reason, rows] : unseen.set_aside)
        std::cout << count_of(rows, "row of another program is", "rows of other programs are")
                  << " set aside: " << reason << '\n';
}

void print(const record_view& view, const record_wanted& wanted, const viewer& who) {
    std::cout << printable(wanted.table) << '/' << printable(wanted.record_id) << " in app "
              << printable(wanted.app) << ", as " << printable(wanted.user) << " may see it\n";
    if (view.held.empty()) std::cout << "there is no such record\n";
    for (const auto& held : view.held) print_held(held, view);
    print_other_lost(view);
    print_unseen(view.unseen);
    if (const auto caveat = spaces_caveat(who)) std::cout << "note: " << *caveat << '\n';
}

// ---- for programs ----

json_value to_json(const store::kept_lost_write& lost) {
    json_object of;
    set_member(of, "number", number(lost.id));
    set_member(of, "scope", lost.scope);
    set_member(of, "field", lost.field);
    set_member(of, "user", lost.user);
    set_member(of, "client", lost.client);
    set_member(of, "value", sync::parse_stored_json(lost.value));
    set_member(of, "claimed", lost.claimed ? json_value{*lost.claimed} : json_value{});
    set_member(of, "reason", lost.reason);
    set_member(of, "lostAt", to_text(lost.lost_at));
    return of;
}

json_value to_json(const sync::held_field& field, const held_record& held, const std::string& name) {
    json_object of;
    set_member(of, "value", field.value);
    set_member(of, "claimed", time_or_null(field.claimed));
    set_member(of, "countsAs", sync::to_text(field.compared));
    set_member(of, "shown", sync::to_text(field.shown));
    set_member(of, "user", field.user.text());
    set_member(of, "client", field.client.text());
    const auto written = held.written.find(name);
    if (written == held.written.end()) return of;
    set_member(of, "eventId", written->second.id);
    set_member(of, "writtenAt", to_text(written->second.at));
    if (!written->second.origin.empty()) set_member(of, "origin", written->second.origin);
    return of;
}

json_value to_json(const held_record& held) {
    json_object fields;
    for (const auto& [name, field] : held.state.fields) set_member(fields, name, to_json(field, held, name));
    json_object of;
    set_member(of, "scope", held.scope);
    set_member(of, "tombstone", time_or_null(held.state.tombstone));
    set_member(of, "marked", truth(held.state.marked));
    set_member(of, "fields", std::move(fields));
    return of;
}

std::string to_json(const record_view& view, const record_wanted& wanted, const viewer& who) {
    sync::json_array records;
    for (const auto& held : view.held) records.push_back(to_json(held));
    sync::json_array lost;
    for (const auto& each : view.lost) lost.push_back(to_json(each));
    json_object aside;
    for (const auto& [reason, rows] : view.unseen.set_aside) set_member(aside, reason, number(rows));
    json_object of;
    set_member(of, "user", wanted.user);
    set_member(of, "app", wanted.app);
    set_member(of, "table", wanted.table);
    set_member(of, "id", wanted.record_id);
    set_member(of, "records", std::move(records));
    set_member(of, "lostWrites", std::move(lost));
    set_member(of, "waitingRows", number(view.unseen.waiting));
    set_member(of, "setAside", std::move(aside));
    set_member(of, "spacesKnown", truth(who.spaces_known));
    return sync::to_json_text(of);
}

} // namespace

int run_explain(const settings_source& source, const explain_wanted& wanted) {
    const auto settings = source.load();
    auto on = connect_bound(settings);
    const auto who = viewer_of(on, wanted.record.user, settings);
    const auto view = view_record(on, who, wanted.record);
    if (view.empty()) {
        const auto caveat = spaces_caveat(who);
        throw std::runtime_error{printable(wanted.record.user) + " has no record " +
                                 printable(wanted.record.record_id) + " in table " +
                                 printable(wanted.record.table) + " of app " + printable(wanted.record.app) +
                                 (caveat ? "; " + *caveat : "")};
    }
    if (wanted.json)
        std::cout << to_json(view, wanted.record, who) << '\n';
    else
        print(view, wanted.record, who);
    return 0;
}

} // namespace mana::admin
