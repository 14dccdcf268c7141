// restore-write: gives a write that lost back, as a push of now.
#include "admin/output.hpp"
#include "admin/postgres_access.hpp"
#include "admin/record_view.hpp"
#include "admin/subcommands.hpp"
#include "shared/gate/from_settings.hpp"
#include "shared/store/publisher.hpp"
#include "shared/store/push_transaction.hpp"
#include "shared/sync/cursor.hpp"
#include "shared/sync/json.hpp"
#include "shared/sync/push_request.hpp"

#include <algorithm>
#include <iostream>
#include <stdexcept>
#include <utility>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;

constexpr auto push_within = 10s;
// As client too: no device's own, so that every device is sent the change.
constexpr const char* origin_name = "mana-sync-admin";

std::string line_of(const store::kept_lost_write& lost) {
    return "number " + std::to_string(lost.id) + ", lost " + to_text(lost.lost_at) + " (" + lost.reason +
           "): " + lost.value + ", " +
           (lost.claimed ? "claimed " + *lost.claimed : std::string{"claimed no time"}) + ", by " +
           printable(lost.user) +
           (lost.client.empty() ? ", no client id" : ", client " + printable(lost.client));
}

// "2026-01-31T09:00:00.123456Z", or its beginning, with or without the Z.
bool lost_then(const store::kept_lost_write& lost, std::string_view when) {
    if (when.ends_with('Z')) when.remove_suffix(1);
    return to_text(lost.lost_at).starts_with(when);
}

std::vector<store::kept_lost_write> candidates(const record_view& view, const restore_write_wanted& wanted) {
    std::vector<store::kept_lost_write> fitting;
    for (const auto& lost : view.lost) {
        const bool chosen =
            (!wanted.id || lost.id == *wanted.id) && (!wanted.lost_at || lost_then(lost, *wanted.lost_at));
        if (lost.field == wanted.field && chosen) fitting.push_back(lost);
    }
    return fitting;
}

// Where the merge will find the record; null where it has to be made.
const held_record* home_of(const record_view& view) {
    return view.held.empty() ? nullptr : &view.held.front();
}

// Now; but later than what it must win against, where that was claimed ahead of now.
sync::instant claim_for(const record_view& view, const held_record* home, const std::string& field) {
    sync::instant claim = view.now;
    if (home == nullptr) return claim;
    for (const auto& [name, held] : home->state.fields)
        if (name == field || sync::lies_inside(field, name)) claim = std::max(claim, held.compared + 1ms);
    if (home->state.tombstone) claim = std::max(claim, *home->state.tombstone + 1ms);
    return claim;
}

std::string space_of(const store::kept_lost_write& lost, const held_record* home) {
    const std::string& scope = home != nullptr ? home->scope : lost.scope;
    return scope.starts_with("s:") ? scope.substr(2) : std::string{};
}

// As a client would send it, so that it is read and refused by the same rules.
std::string body_of(const restore_write_wanted& wanted, const store::kept_lost_write& lost,
                    sync::instant claim, const std::string& space) {
    std::string body = R"({"changes":[{"op":"update","table":)";
    sync::append_json_string(body, wanted.record.table);
    body += R"(,"id":)";
    sync::append_json_string(body, wanted.record.record_id);
    body += R"(,"fields":{)";
    sync::append_json_string(body, wanted.field);
    body += R"(:{"value":)" + lost.value + R"(,"at":")" + sync::to_text(claim) + R"("}},"origin":")" +
            origin_name + '"';
    if (!space.empty()) {
        body += R"(,"spaceId":)";
        sync::append_json_string(body, space);
    }
    return body + "}]}";
}

sync::push_request request_of(const std::string& body, const runtime::configuration& settings,
                              sync::instant now) {
    sync::request_limits limits;
    limits.fields = settings.max_fields;
    limits.nesting = settings.max_nesting;
    auto push = sync::parse_push(body, origin_name, limits);
    if (!push) throw std::runtime_error{"the write cannot be given back: " + push.error().message};
    if (!push->rejected.empty())
        throw std::runtime_error{"the write cannot be given back: " + push->rejected.front().message};
    push->since = sync::cursor{now, false}; // nobody reads the page that answers it
    return std::move(*push);
}

void print_plan(const restore_write_wanted& wanted, const store::kept_lost_write& lost,
                const held_record* home, sync::instant claim) {
    std::cout << "to give back: " << line_of(lost) << '\n';
    const std::string place = printable(wanted.field) + " of " + printable(wanted.record.table) + '/' +
                              printable(wanted.record.record_id);
    if (home == nullptr) {
        std::cout << "held now:     no such record; it would come to be, with this field alone\n";
    } else if (const auto held = home->state.fields.find(wanted.field); held != home->state.fields.end()) {
        std::cout << "held now:     " << sync::to_json_text(held->second.value) << ", by "
                  << printable(held->second.user.text()) << ", client "
                  << printable(held->second.client.text()) << '\n';
    } else {
        std::cout << "held now:     nothing"
                  << (home->state.fields.empty()
                          ? "; the record is deleted, and would come back with this field alone"
                          : "")
                  << '\n';
    }
    std::cout << "new write:    " << place << ", claimed " << sync::to_text(claim) << ", by "
              << printable(wanted.record.user) << ", origin " << origin_name << ", into "
              << scope_in_words(home != nullptr ? home->scope : lost.scope) << '\n';
}

bool is_held_already(const held_record* home, const std::string& field, const store::kept_lost_write& lost) {
    if (home == nullptr || !home->state.fields.contains(field)) return false;
    return sync::same(home->state.fields.at(field).value, sync::parse_stored_json(lost.value));
}

std::vector<store::notification> notifications_of(const record_wanted& record,
                                                  const store::committed_push& done) {
    std::vector<store::notification> told;
    for (const auto& scope : done.scopes)
        told.push_back({scope.scope, record.user, record.app, scope.tables, origin_name, scope.count,
                        to_text(scope.newest)});
    return told;
}

void write(store::connection& on, const runtime::configuration& settings, const viewer& who,
           const record_wanted& record, const sync::push_request& push) {
    auto terms = gate::terms_of(settings);
    terms.spaces_known = who.spaces_known;
    terms.page_rows = 1;
    const store::reader author{record.user, push.client_id, who.who.spaces};
    store::committed_push committed;
    const auto told = [&committed](const store::committed_push& done) { committed = done; };
    const auto answer = store::run_push(on, record.app, author, push, terms, told, from_now(push_within));
    if (!answer.rejected.empty())
        throw std::runtime_error{"it was refused: " + answer.rejected.front().message};
    if (committed.stored == 0)
        throw std::runtime_error{
            "it lost again, to a write that came meanwhile; see mana-sync-admin explain"};
    store::publisher announcer{settings.redis_url};
    const bool heard = announcer.publish(notifications_of(record, committed));
    std::cout << "written at " << to_text(committed.scopes.front().newest) << "; "
              << (heard ? "Redis was told\n" : "Redis could not be told: a hub will find it, and tell\n");
}

int choose(const std::vector<store::kept_lost_write>& fitting) {
    for (const auto& lost : fitting) std::cout << line_of(lost) << '\n';
    throw std::runtime_error{std::to_string(fitting.size()) +
                             " lost writes fit; choose one by --id NUMBER or --lost-at TIME"};
}

} // namespace

int run_restore_write(const settings_source& source, const restore_write_wanted& wanted) {
    if (wanted.field.empty())
        throw std::runtime_error{
            "FIELD is empty: a change that was refused whole cannot be given back as it was"};
    const auto settings = source.load();
    auto on = connect_bound(settings);
    const auto who = viewer_of(on, wanted.record.user, settings);
    const auto view = view_record(on, who, wanted.record);
    const auto fitting = candidates(view, wanted);
    if (fitting.empty()) {
        const auto caveat = spaces_caveat(who);
        throw std::runtime_error{"there is no such lost write to field " + printable(wanted.field) +
                                 " that " + printable(wanted.record.user) + " may see" +
                                 (caveat ? "; " + *caveat : "")};
    }
    if (fitting.size() > 1) return choose(fitting);
    const auto& lost = fitting.front();
    const auto* const home = home_of(view);
    const auto claim = claim_for(view, home, wanted.field);
    print_plan(wanted, lost, home, claim);
    if (is_held_already(home, wanted.field, lost)) {
        std::cout << "nothing to do: the record holds this value\n";
        return 0;
    }
    const auto push = request_of(body_of(wanted, lost, claim, space_of(lost, home)), settings, view.now);
    if (!wanted.yes) {
        std::cout << "nothing was written; with --yes it is\n";
        return 0;
    }
    write(on, settings, who, wanted.record, push);
    return 0;
}

} // namespace mana::admin
