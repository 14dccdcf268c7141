#include "shared/store/scope_states.hpp"

#include <array>
#include <chrono>

namespace mana::store {

namespace {

// $1 app, $2 written scopes. See sql/0004_positions.sql; sync_old_rows only ever loses rows, so a look from
// before the locks can find too much there and not too little.
constexpr statement lock_statement{"lock_scopes", R"(
select (extract(epoch from receipt) * 1000)::bigint, (extract(epoch from newest) * 1000000)::bigint,
       exists (select from sync_old_rows
               where user_id = (select current_setting('app.current_user_id', true)) and app_id = $1)
from lock_scopes($1, $2, '{}'))"};

// $1 app, $2 scopes, $3 and $4 tables and record ids. After the lock, in a statement (and so a snapshot) of
// its own: it must see what the scope's last writer committed. `offset 0` keeps each look-up one by the whole
// key: left to itself, the planner walks all records of the scope, led by the policy's condition.
constexpr statement records_statement{"read_records", R"(
select record.scope, record.table_name, record.record_id, record.data::text, record.meta::text,
       (extract(epoch from record.tombstone) * 1000)::bigint, record.marked, true,
       coalesce(record.dropped, record.marked), record.refused
from unnest($3::text[], $4::text[]) as wanted(table_name, record_id)
cross join unnest($2::text[]) as home(scope)
cross join lateral (
    select * from sync_records
    where scope = home.scope and app_id = $1
      and table_name = wanted.table_name and record_id = wanted.record_id
    offset 0
) as record)"};

// The same of records that may be too large together: beyond $5 bytes they come without their texts.
constexpr statement many_records_statement{"read_many_records", R"(
select scope, table_name, record_id, case when fits then data::text end, case when fits then meta::text end,
       (extract(epoch from tombstone) * 1000)::bigint, marked, fits,
       coalesce(dropped, marked), refused
from (
    select record.*, sum(greatest(coalesce(bytes, octet_length(data::text) + octet_length(meta::text)),
                                     pg_column_size(data) + pg_column_size(meta))) over () <= $5::bigint as fits
    from unnest($3::text[], $4::text[]) as wanted(table_name, record_id)
    cross join unnest($2::text[]) as home(scope)
    cross join lateral (
        select * from sync_records
        where scope = home.scope and app_id = $1
          and table_name = wanted.table_name and record_id = wanted.record_id
        offset 0
    ) as record
) as weighed)"};

// $1 app; then one array a column. A record whose fields only grew or changed is added to, so that of a large
// record only what changed travels; one that lost fields is replaced.
constexpr std::string_view write_records_sql = R"(
insert into sync_records as held (scope, app_id, table_name, record_id, data, meta, tombstone, marked, deleted, bytes, dropped,
                                  refused)
select scope, $1, table_name, record_id, data::jsonb, meta::jsonb, tombstone::timestamptz, marked::boolean,
       deleted::boolean, bytes::int, dropped::boolean, refused::boolean
from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[])
    as touched(scope, table_name, record_id, data, meta, tombstone, marked, deleted, bytes, dropped, refused)
on conflict (scope, app_id, table_name, record_id) do update
set tombstone = excluded.tombstone, marked = excluded.marked, deleted = excluded.deleted, bytes = excluded.bytes,
    dropped = excluded.dropped, refused = excluded.refused, )";

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
where scope = $2 and app_id = $1 and lost_at < now() - $3::int * interval '1 day')"};

constexpr std::int64_t records_bytes = 64'000'000;
/// So many are never too large: the merge lets none grow beyond 10 MB.
constexpr std::size_t records_of_any_size = 6;

/// Whose name is left out of a record's times: in a user's own scope there is no other.
std::string_view home_user(const std::string& scope, const std::string& user) {
    return scope == sync::scope_of_user(user) ? std::string_view(user) : std::string_view{};
}

} // namespace

records_too_large::records_too_large()
    : postgres_error(remedy::report, "the records that are touched are larger than " +
                                         std::to_string(records_bytes / 1'000'000) +
                                         " MB together: send fewer changes at a time") {}

std::span<const statement> scope_statements() {
    static const std::array list{lock_statement,   records_statement, many_records_statement,
                                 add_to_records(), replace_records(), lost_statement,
                                 forget_statement};
    return list;
}

void send_lock(transaction& in, const std::string& app, const std::set<std::string>& scopes) {
    const std::vector<std::string> locked(scopes.begin(), scopes.end());
    in.send(lock_statement, {app, parameter::array(locked)});
}

scope_locks locks_in(const rows& locked) {
    return {sync::instant{std::chrono::milliseconds{locked.number(0, 0)}}, locked.position(0, 1),
            locked.boolean(0, 2)};
}

void send_records(transaction& in, const std::string& app, const reader& who, const record_names& named) {
    std::vector<std::string> tables;
    std::vector<std::string> ids;
    for (const auto& [table, id] : named) {
        tables.push_back(table);
        ids.push_back(id);
    }
    const auto scopes = scopes_of(who);
    std::vector<parameter> parameters{app, parameter::array(scopes), parameter::array(tables),
                                      parameter::array(ids)};
    if (tables.size() * scopes.size() <= records_of_any_size) return in.send(records_statement, parameters);
    parameters.push_back(parameter::number(records_bytes));
    in.send(many_records_statement, parameters);
}

sync::record_map records_in(const rows& states, const std::string& user) {
    sync::record_map records;
    if (states.count() > 0 && !states.boolean(0, 7)) throw records_too_large();
    for (int row = 0; row < states.count(); ++row) {
        const std::string scope{states.text(row, 0)};
        auto state = sync::from_stored(states.text(row, 3), states.text(row, 4), home_user(scope, user));
        if (!states.is_null(row, 5))
            state.tombstone = sync::instant{std::chrono::milliseconds{states.number(row, 5)}};
        state.marked = states.boolean(row, 6);
        state.dropped = states.boolean(row, 8);
        state.refused = states.boolean(row, 9);
        records.emplace(
            sync::record_key{scope, std::string(states.text(row, 1)), std::string(states.text(row, 2))},
            std::move(state));
    }
    return records;
}

void send_touched_records(transaction& in, const std::string& app, const std::string& user,
                          const sync::record_map& records) {
    columns added;
    columns replaced;
    for (const auto& [key, state] : records) {
        if (!state.touched) continue;
        auto stored = sync::to_stored(state, home_user(key.scope, user), !state.replaced);
        const auto deleted_at = state.fields.find("deletedAt");
        const bool deleted = deleted_at != state.fields.end() && sync::truthy(deleted_at->second.value);
        auto& written = state.replaced ? replaced : added;
        written.add({key.scope, key.table, key.record_id, std::move(stored.values), std::move(stored.meta),
                     state.tombstone ? std::optional(sync::to_text(*state.tombstone)) : std::nullopt,
                     state.marked ? "t" : "f", deleted ? "t" : "f", std::to_string(state.bytes),
                     state.dropped ? "t" : "f", state.refused ? "t" : "f"});
    }
    if (!added.empty()) in.send(add_to_records(), added.after({app}));
    if (!replaced.empty()) in.send(replace_records(), replaced.after({app}));
}

void send_lost_writes(transaction& in, const std::string& app, const std::string& user,
                      const std::string& client, const std::vector<sync::lost_write>& lost, int days) {
    if (lost.empty()) return;
    columns lost_writes;
    for (const auto& write : lost)
        lost_writes.add({write.scope, write.table, write.record_id, write.field, write.value,
                         text_or_null(write.claimed), write.reason});
    in.send(lost_statement, lost_writes.after({app, user, client}));
    in.send(forget_statement, {app, sync::scope_of_user(user), parameter::number(days)});
}

stored_change to_stored(const sync::log_row& row) {
    const bool tombstone = row.op == sync::operation::remove;
    return {tombstone ? std::nullopt : std::optional(row.data), row.field_meta,
            row.held.empty() ? std::nullopt : std::optional(sync::to_stored(row.held, {})),
            std::to_string(sync::stored_text_size(row.data) + sync::stored_text_size(row.field_meta))};
}

std::optional<std::string> text_or_null(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional(text);
}

} // namespace mana::store
