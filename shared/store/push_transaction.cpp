#include "shared/store/push_transaction.hpp"

#include "shared/store/page_reader.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace mana::store {

namespace {

// $1 app, $2 written scopes. See sql/0004_positions.sql.
constexpr statement lock_statement{"lock_scopes", R"(
select (extract(epoch from receipt) * 1000)::bigint, (extract(epoch from newest) * 1000000)::bigint
from lock_scopes($1, $2, '{}'))"};

// $1 app, $2 scopes, $3 and $4 tables and record ids. After the lock, in a statement (and so a snapshot) of
// its own: it must see what the scope's last writer committed. `offset 0` keeps each look-up one by the whole
// key: left to itself, the planner walks all records of the scope, led by the policy's condition.
constexpr statement records_statement{"read_records", R"(
select record.scope, record.table_name, record.record_id, record.data::text, record.meta::text,
       (extract(epoch from record.tombstone) * 1000)::bigint, record.marked
from unnest($3::text[], $4::text[]) as wanted(table_name, record_id)
cross join unnest($2::text[]) as home(scope)
cross join lateral (
    select * from sync_records
    where scope = home.scope and app_id = $1
      and table_name = wanted.table_name and record_id = wanted.record_id
    offset 0
) as record)"};

// $1 app, $2 user, $3 client, $4 how many; then one array a column. Positions are taken as late as can be.
// Each scope's rows are announced in sync_pushes, where those find them who were not told.
constexpr statement log_statement{"write_log", R"(
with clock as materialized (select take_positions($4::int) as first),
logged as (
    insert into sync_changes (app_id, user_id, client_id, created_at, id, scope, table_name, record_id, op, data,
                              field_meta, schema_version, actor, origin, space_id, told, bytes)
    select $1, $2, $3, clock.first + (place - 1) * interval '1 microsecond', change.id::uuid, scope, table_name,
           record_id, op, data::jsonb, field_meta::jsonb, schema_version::int, actor::jsonb, origin, space_id,
           told::boolean, bytes::int
    from clock, unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                       $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]) with ordinality
        as change(id, scope, table_name, record_id, op, data, field_meta, schema_version, actor, origin, space_id, told,
                  bytes, place)
    order by place
    returning scope, table_name, created_at
), announced as (
    insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest)
    select scope, $1, $2, $3, array_agg(distinct table_name collate "C"), count(*), max(created_at)
    from logged group by scope
)
select (extract(epoch from created_at) * 1000000)::bigint from logged order by created_at)"};

// $1 app; then one array a column. A record whose fields only grew or changed is added to, so that of a large
// record only what changed travels; one that lost fields is replaced.
constexpr std::string_view write_records_sql = R"(
insert into sync_records as held (scope, app_id, table_name, record_id, data, meta, tombstone, marked, deleted)
select scope, $1, table_name, record_id, data::jsonb, meta::jsonb, tombstone::timestamptz, marked::boolean,
       deleted::boolean
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    as touched(scope, table_name, record_id, data, meta, tombstone, marked, deleted)
on conflict (scope, app_id, table_name, record_id) do update
set tombstone = excluded.tombstone, marked = excluded.marked, deleted = excluded.deleted, )";

const statement& add_to_records() {
    static const std::string sql =
        std::string(write_records_sql)
            .append("data = held.data || excluded.data, meta = held.meta || excluded.meta");
    static const statement made{"add_to_records", sql.c_str()};
    return made;
}

const statement& replace_records() {
    static const std::string sql =
        std::string(write_records_sql).append("data = excluded.data, meta = excluded.meta");
    static const statement made{"replace_records", sql.c_str()};
    return made;
}

// $1 app, $2 user, $3 client; then one array a column.
constexpr statement lost_statement{"keep_lost_writes", R"(
insert into sync_lost_writes (app_id, user_id, client_id, scope, table_name, record_id, field, value, claimed_at, reason)
select $1, $2, $3, lost.* from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
    as lost(scope, table_name, record_id, field, value, claimed_at, reason))"};

// $1 app, $2 scope, $3 days. The same user's writes of long ago go when new ones come.
constexpr statement forget_statement{"forget_lost_writes", R"(
delete from sync_lost_writes
where scope = $2 and app_id = $1 and lost_at < clock_timestamp() - $3::int * interval '1 day')"};

std::optional<std::string> text_or_null(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional(text);
}

/// A version 7 uuid: its time first, so that new keys gather at one end of the index.
std::string time_ordered_uuid(sync::instant now, boost::uuids::random_generator& random) {
    auto id = random();
    const auto millis = static_cast<std::uint64_t>(now.time_since_epoch().count());
    for (std::size_t i = 0; i < 6; ++i) id.data[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
    id.data[6] = static_cast<std::uint8_t>((id.data[6] & 0x0FU) | 0x70U);
    return to_string(id);
}

/// One attempt at a push.
class push_attempt {
  public:
    push_attempt(connection& on, const std::string& app, const reader& who, const sync::push_request& push,
                 const push_terms& terms, deadline until)
        : on_(on), app_(app), who_(who), push_(push), terms_(terms), until_(until),
          in_(on, who.user, who.spaces) {}

    /// Nothing where a record lives in a scope that was not locked: `written` has it now, try again.
    std::optional<sync::answer> run(std::set<std::string>& written, const on_commit& told) {
        read_states(written);
        sync::writer author{who_.user, push_.client_id, std::nullopt};
        if (terms_.spaces_shared) author.spaces = who_.spaces;
        if (names_another_home(author, written)) return std::nullopt;
        merged_ = sync::merge_push(push_.changes, author, {receipt_, terms_.max_clock_skew}, records_);
        keep_rejected();
        write_log();
        write_records();
        write_lost();
        in_.send_commit();
        auto answer = commit_and_read_page(told);
        complete(answer);
        return answer;
    }

  private:
    connection& on_;
    const std::string& app_;
    const reader& who_;
    const sync::push_request& push_;
    const push_terms& terms_;
    const deadline until_;
    transaction in_;
    sync::instant receipt_;
    sync::record_map records_;
    sync::merge_outcome merged_;
    page_bound bound_;
    bool committed_ = false;

    /// Whose name is left out of a record's times: in a user's own scope there is no other.
    [[nodiscard]] std::string_view home_user(const std::string& scope) const {
        return scope == sync::scope_of_user(who_.user) ? std::string_view(who_.user) : std::string_view{};
    }

    void read_states(const std::set<std::string>& written) {
        std::set<std::pair<std::string, std::string>> named;
        for (const auto& change : push_.changes)
            named.emplace(change.heading.table, change.heading.record_id);
        std::vector<std::string> tables;
        std::vector<std::string> ids;
        for (const auto& [table, id] : named) {
            tables.push_back(table);
            ids.push_back(id);
        }
        const std::vector<std::string> locked(written.begin(), written.end());
        in_.send(lock_statement, {app_, parameter::array(locked)});
        in_.send(records_statement,
                 {app_, parameter::array(scopes_of(who_)), parameter::array(tables), parameter::array(ids)});
        const auto results = in_.finish(until_);
        receipt_ = sync::instant{std::chrono::milliseconds{results[0].number(0, 0)}};
        bound_.newest_before = results[0].position(0, 1);
        for (int row = 0; row < results[1].count(); ++row) add_state(results[1], row);
    }

    void add_state(const rows& states, int row) {
        const std::string scope{states.text(row, 0)};
        auto state = sync::from_stored(states.text(row, 3), states.text(row, 4), home_user(scope));
        if (!states.is_null(row, 5))
            state.tombstone = sync::instant{std::chrono::milliseconds{states.number(row, 5)}};
        state.marked = states.boolean(row, 6);
        records_.emplace(
            sync::record_key{scope, std::string(states.text(row, 1)), std::string(states.text(row, 2))},
            std::move(state));
    }

    [[nodiscard]] bool names_another_home(const sync::writer& author, std::set<std::string>& written) const {
        bool found = false;
        for (const auto& change : push_.changes) {
            const auto home = sync::home_of(change, author, records_);
            found = (home && written.insert(*home).second) || found;
        }
        return found;
    }

    void keep_rejected() {
        for (const auto& refused : push_.rejected)
            merged_.lost.push_back({sync::scope_of_user(who_.user), refused.table, refused.record_id, "",
                                    refused.change_text, "", refused.code});
        // A NUL can be in no text of PostgreSQL's; the change's JSON has it escaped, its names may not.
        std::erase_if(merged_.lost, [](const sync::lost_write& lost) {
            return sync::has_nul(lost.table) || sync::has_nul(lost.record_id);
        });
    }

    [[nodiscard]] page_request page_wanted() const {
        page_request wanted;
        wanted.app = app_;
        wanted.since = push_.since;
        wanted.rows = terms_.page_rows;
        wanted.bytes = terms_.page_bytes;
        return wanted;
    }

    void write_log() {
        if (merged_.rows.empty()) return;
        boost::uuids::random_generator random;
        columns log;
        for (const auto& row : merged_.rows) {
            const sync::json_value data{row.data};
            const sync::json_value meta{row.field_meta};
            const auto& heading = row.heading;
            const bool tombstone = row.op == sync::operation::remove;
            bound_.last_row = time_ordered_uuid(receipt_, random);
            log.add({bound_.last_row, row.scope, heading.table, heading.record_id,
                     std::string(sync::to_text(row.op)),
                     tombstone ? std::nullopt : std::optional(sync::to_json_text(data)),
                     sync::to_json_text(meta), std::to_string(heading.schema_version),
                     heading.actor ? std::optional(sync::to_json_text(*heading.actor)) : std::nullopt,
                     text_or_null(heading.origin), text_or_null(heading.space), row.told ? "t" : "f",
                     std::to_string(sync::stored_size(data) + sync::stored_size(meta))});
        }
        in_.send(log_statement, log.after({app_, who_.user, push_.client_id,
                                           parameter::number(static_cast<std::int64_t>(log.rows()))}));
    }

    void write_records() {
        columns added;
        columns replaced;
        for (const auto& [key, state] : records_) {
            if (!state.touched) continue;
            auto stored = sync::to_stored(state, home_user(key.scope), !state.replaced);
            const auto deleted_at = state.fields.find("deletedAt");
            const bool deleted = deleted_at != state.fields.end() && sync::truthy(deleted_at->second.value);
            auto& written = state.replaced ? replaced : added;
            written.add({key.scope, key.table, key.record_id, std::move(stored.values),
                         std::move(stored.meta),
                         state.tombstone ? std::optional(sync::to_text(*state.tombstone)) : std::nullopt,
                         state.marked ? "t" : "f", deleted ? "t" : "f"});
        }
        if (!added.empty()) in_.send(add_to_records(), added.after({app_}));
        if (!replaced.empty()) in_.send(replace_records(), replaced.after({app_}));
    }

    void write_lost() {
        if (merged_.lost.empty()) return;
        columns lost_writes;
        for (const auto& lost : merged_.lost)
            lost_writes.add({lost.scope, lost.table, lost.record_id, lost.field, lost.value,
                             text_or_null(lost.claimed), lost.reason});
        in_.send(lost_statement, lost_writes.after({app_, who_.user, push_.client_id}));
        in_.send(forget_statement,
                 {app_, sync::scope_of_user(who_.user), parameter::number(terms_.lost_writes_days)});
    }

    /// The page's transaction goes after the push's COMMIT in the same round trip; if it fails, the push
    /// stays.
    sync::answer commit_and_read_page(const on_commit& told) {
        const reader author{who_.user, push_.client_id, who_.spaces};
        const auto wanted = page_wanted();
        try {
            transaction reading(on_, who_.user, who_.spaces);
            send_page(reading, author, wanted, bound_);
            reading.send_commit();
            told(what_was_committed(in_.committed(until_)));
            committed_ = true;
            const auto page = reading.committed(until_);
            return to_answer(wanted, page.at(0), page.at(1));
        } catch (const postgres_error& failed) {
            if (!committed_ || failed.next() != remedy::retry_now) throw;
        }
        return read_page_of_committed(author, wanted);
    }

    /// Whatever fails now, the push must not be run again here: its client sends it again, and nothing
    /// changes.
    sync::answer read_page_of_committed(const reader& author, const page_request& wanted) {
        try {
            return read_page(on_, author, wanted, bound_, until_);
        } catch (const postgres_error& failed) {
            const bool tried_enough = failed.next() == remedy::retry_now;
            throw postgres_error(tried_enough ? remedy::retry_later : failed.next(), failed.what());
        }
    }

    [[nodiscard]] committed_push what_was_committed(const std::vector<rows>& results) const {
        committed_push done;
        done.stored = merged_.rows.size();
        done.lost = merged_.conflicts.size();
        done.capped = merged_.capped;
        if (done.stored > 0) done.scopes = committed_scopes(results.at(0));
        return done;
    }

    void complete(sync::answer& answer) {
        std::ranges::move(merged_.repairs, std::back_inserter(answer.server_changes));
        answer.conflicts = std::move(merged_.conflicts);
        answer.rejected = push_.rejected;
        std::ranges::move(merged_.rejected, std::back_inserter(answer.rejected));
        std::ranges::sort(answer.rejected, {}, &sync::rejection::index);
    }

    /// Positions came back in the order of the rows.
    [[nodiscard]] std::vector<committed_scope> committed_scopes(const rows& positions) const {
        std::map<std::string, committed_scope> by_scope;
        for (std::size_t i = 0; i < merged_.rows.size(); ++i) {
            const auto& row = merged_.rows[i];
            auto& committed = by_scope[row.scope];
            committed.scope = row.scope;
            ++committed.count;
            committed.newest = positions.position(static_cast<int>(i), 0);
            const auto place = std::ranges::lower_bound(committed.tables, row.heading.table);
            if (place == committed.tables.end() || *place != row.heading.table)
                committed.tables.insert(place, row.heading.table);
        }
        std::vector<committed_scope> all;
        all.reserve(by_scope.size());
        for (auto& [scope, committed] : by_scope) all.push_back(std::move(committed));
        return all;
    }
};

std::set<std::string> scopes_named(const reader& who, const sync::push_request& push) {
    std::set<std::string> named{sync::scope_of_user(who.user)};
    const auto is_mine = [&](const std::string& space) {
        return std::ranges::find(who.spaces, space) != who.spaces.end();
    };
    for (const auto& change : push.changes)
        if (is_mine(change.heading.space)) named.insert(sync::scope_of_space(change.heading.space));
    return named;
}

} // namespace

std::span<const statement> push_statements() {
    static const std::array list{lock_statement,    records_statement, log_statement,   add_to_records(),
                                 replace_records(), lost_statement,    forget_statement};
    return list;
}

sync::answer run_push(connection& on, const std::string& app, const reader& who,
                      const sync::push_request& push, const push_terms& terms, const on_commit& told,
                      deadline until) {
    auto written = scopes_named(who, push);
    return with_retries(until, [&] {
        auto answer = push_attempt(on, app, who, push, terms, until).run(written, told);
        if (!answer) throw postgres_error(remedy::retry_now, "a record lives in a scope that was not locked");
        return std::move(*answer);
    });
}

} // namespace mana::store
