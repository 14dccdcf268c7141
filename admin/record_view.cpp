#include "admin/record_view.hpp"

#include "admin/output.hpp"
#include "admin/postgres_access.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/store/user_standing.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;

constexpr auto answers_within = 5s;

// $1 app, $2 scope, $3 table, $4 record id; then fields with who wrote them. A field may travel along in the
// row of another writer, so a row of its own writer counts. The id is written so that no index serves it:
// other users may have records of the same id, and their rows are not to be walked.
constexpr store::statement written_statement{"field_rows", R"(
select wanted.field, written.id, (extract(epoch from written.created_at) * 1000000)::bigint, written.op,
       coalesce(written.origin, '')
from unnest($5::text[], $6::text[], $7::text[]) as wanted(field, user_id, client_id)
cross join lateral (
    select id, created_at, op, origin from sync_changes
    where scope = $2 and app_id = $1 and table_name = $3 and record_id || '' = $4
      and user_id = wanted.user_id and client_id = wanted.client_id and data ? wanted.field
    order by created_at desc limit 1
) as written)"};

// $1 user, $2 app, $3 table, $4 record id.
constexpr store::statement unseen_statement{"unseen_rows", R"(
select coalesce(set_aside, ''), count(*)
from sync_changes
where user_id = $1 and app_id = $2 and table_name = $3 and record_id || '' = $4 and scope is null
group by 1)"};

constexpr store::statement now_statement{"now",
                                         "select (extract(epoch from clock_timestamp()) * 1000)::bigint"};

void send_written(store::transaction& in, const record_wanted& wanted, const held_record& held) {
    store::columns fields;
    for (const auto& [name, field] : held.state.fields) fields.add({name, field.user, field.client});
    const auto parameters = fields.after({wanted.app, held.scope, wanted.table, wanted.record_id});
    in.send(written_statement, std::span{parameters});
}

void keep_written(const store::rows& found, held_record& held) {
    for (int row = 0; row < found.count(); ++row)
        held.written[std::string{found.text(row, 0)}] = {
            std::string{found.text(row, 1)}, found.position(row, 2), std::string{found.text(row, 3)},
            std::string{found.text(row, 4)}};
}

unseen_rows unseen_in(const store::rows& found) {
    unseen_rows unseen;
    for (int row = 0; row < found.count(); ++row) {
        const std::string reason{found.text(row, 0)};
        if (reason.empty())
            unseen.waiting = found.number(row, 1);
        else
            unseen.set_aside[reason] = found.number(row, 1);
    }
    return unseen;
}

} // namespace

viewer viewer_of(store::connection& on, const std::string& user, const runtime::configuration& settings) {
    viewer found{{user, {}, {}}, true, std::nullopt};
    if (settings.mana_auth_url.empty()) return found;
    auto standing = store::read_standing(on, user, from_now(answers_within));
    if (standing.spaces) found.heard_before = standing.spaces->age;
    found.spaces_known = standing.spaces && standing.spaces->age <= settings.spaces_stale;
    if (!found.spaces_known) return found;
    found.who.spaces = std::move(standing.spaces->said);
    if (found.who.spaces.size() > settings.max_spaces) found.who.spaces.resize(settings.max_spaces);
    return found;
}

record_view view_record(store::connection& on, const viewer& who, const record_wanted& wanted) {
    const auto until = from_now(answers_within);
    store::transaction in{on, who.who.user, who.who.spaces};
    store::send_records(in, wanted.app, who.who, {{wanted.table, wanted.record_id}});
    store::send_lost_writes_of(in, wanted.app, who.who, wanted.table, wanted.record_id);
    in.send(unseen_statement, {wanted.user, wanted.app, wanted.table, wanted.record_id});
    in.send(now_statement, {});
    const auto read = in.finish(until);
    record_view view;
    for (auto& [key, state] : store::records_in(read.at(0), who.who.user))
        view.held.push_back({key.scope, state, {}});
    const auto own = sync::scope_of_user(who.who.user);
    std::stable_partition(view.held.begin(), view.held.end(),
                          [&](const held_record& held) { return held.scope == own; });
    view.lost = store::lost_writes_in(read.at(1));
    view.unseen = unseen_in(read.at(2));
    view.now = sync::instant{std::chrono::milliseconds{read.at(3).number(0, 0)}};
    std::vector<held_record*> with_fields; // a deleted record has none
    for (auto& held : view.held)
        if (!held.state.fields.empty()) with_fields.push_back(&held);
    for (const auto* const held : with_fields) send_written(in, wanted, *held);
    const auto written = in.commit_repeatable(until);
    for (std::size_t at = 0; at < with_fields.size(); ++at) keep_written(written.at(at), *with_fields[at]);
    return view;
}

std::string scope_in_words(const std::string& scope) {
    if (scope.starts_with("u:")) return "own scope of " + printable(scope.substr(2));
    if (scope.starts_with("s:")) return "space " + printable(scope.substr(2));
    return "scope " + printable(scope);
}

std::optional<std::string> spaces_caveat(const viewer& who) {
    if (who.spaces_known) return std::nullopt;
    if (!who.heard_before)
        return "memberships never told of " + printable(who.who.user) +
               ": what is in spaces is not looked at";
    return "memberships last told of " + printable(who.who.user) + ' ' + in_words(*who.heard_before) +
           " ago, longer than SPACES_STALE_HOURS: what is in spaces is not looked at";
}

} // namespace mana::admin
