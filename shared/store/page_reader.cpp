#include "shared/store/page_reader.hpp"

#include "shared/store/joined_spaces.hpp"
#include "shared/sync/record.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::store {

namespace {

// $1 app, $2 scopes, $3 the row that bounds the page, or $4 the position that does. See
// sql/0004_positions.sql for why this is a statement of its own, before the page's.
constexpr statement horizon_statement{"horizon", R"(
select (extract(epoch from horizon) * 1000000)::bigint, (extract(epoch from newest) * 1000000)::bigint
from read_horizon($1, $2, coalesce((select created_at from sync_changes where id = $3::uuid), $4::timestamptz)))"};

// $1 user, $2 app. After the horizon, whose locks it needs: nobody shows the user other spaces under a cursor
// that was not handed out yet (sql/0008_joined_spaces.sql).
constexpr statement version_statement{"version_of_spaces", R"(
select changed::text from sync_reader_spaces where user_id = $1 and app_id = $2)"};

// $1 app, $2 scopes, $3 since, $4 rows, $5 bytes, $6 the reader's client ('' leaves nothing out), $7 the
// reader, $8 whether own rows are brought, up to $9, $10 rows of a first walk, $11 the tables (see
// page_of_tables).
//
// Each scope (or each table of each scope) is walked along its index, the walks are merged and cut by rows,
// then by bytes. Who reads many scopes needs few rows of each: a first walk takes just $10 and one, which
// give a bound for the page's end; those that end before it go on from there, up to it. A record's state is
// looked up by key: for own rows, of which only a marked record's are shown (rule 8), and for what the page
// shows (rule 7), where that of a copy lives in its space. That scope is computed in a subselect of its own:
// under row-level security PostgreSQL takes no index condition that calls a function which is not leakproof,
// and would walk the whole index.
constexpr std::string_view walk_of_scope = R"(
        select change.ctid as place, change.created_at, change.bytes
        from sync_changes as change
        where change.scope = reader.scope and change.app_id = $1
          and change.created_at <= (select current_setting('mana_sync.horizon')::timestamptz)
          and case when $6 <> '' and change.client_id = $6 and change.user_id = $7 and not change.told
                   then ($8::boolean and change.created_at <= $9::timestamptz) or exists (
                       select from sync_records as record
                       where record.scope = (select case when starts_with(change.scope, 'm:')
                                                         then 's:' || change.space_id else change.scope end)
                         and record.app_id = change.app_id and record.table_name = change.table_name
                         and record.record_id = change.record_id and record.marked)
                   else true end)";
constexpr std::string_view of_one_table = " and change.table_name = reader.name";
constexpr std::string_view first_walks = R"(
          and change.created_at > $3::timestamptz
        order by change.created_at
        limit $10::int + 1
    ) as step
),
bound as materialized (
    select coalesce((select created_at from walked order by created_at offset $4::int limit 1), 'infinity') as last_row
),
further as (
    select step.*
    from (
        select scope, name, max(created_at) as reached
        from walked group by scope, name having count(*) > $10::int
    ) as reader
    cross join lateral ()";
constexpr std::string_view further_walks = R"(
          and change.created_at > reader.reached and change.created_at <= (select last_row from bound)
        order by change.created_at
        limit $4::int
    ) as step
    where reader.reached < (select last_row from bound)
),
page as (
    select place, created_at, bytes, sum(bytes) over (order by created_at rows unbounded preceding) as running,
           count(*) over () as found
    from (
        select place, created_at, bytes from walked
        union all
        select place, created_at, bytes from further
        order by created_at limit $4::int + 1
    ) as merged
)
select change.id, (extract(epoch from change.created_at) * 1000000)::bigint, change.table_name, change.record_id,
       change.op, change.data::text, change.field_meta::text, change.schema_version, change.actor::text, change.origin,
       change.space_id, page.found,
       case when change.data -> 'deletedAt' = 'null' then record.data::text
            when record.deleted then jsonb_build_object('deletedAt', record.data -> 'deletedAt')::text end,
       case when change.data -> 'deletedAt' = 'null' then record.meta::text
            when record.deleted then jsonb_build_object('deletedAt', record.meta -> 'deletedAt')::text end
from (
    select * from page where running <= $5::bigint or running = bytes order by created_at limit $4::int
) as page
join sync_changes as change on change.ctid = page.place
left join lateral (
    select * from sync_records
    where scope = (select case when starts_with(change.scope, 'm:') then 's:' || change.space_id
                               else change.scope end)
      and app_id = change.app_id and table_name = change.table_name and record_id = change.record_id
    offset 0 -- one look-up by the whole key a row
) as record on true
order by page.created_at)";

// `readers`: what is walked, scope by scope; `narrowed`: to which of its rows.
std::string page_sql(std::string_view readers, std::string_view narrowed) {
    return std::string("with walked as materialized (select reader.*, step.* from (")
        .append(readers)
        .append(") as reader cross join lateral (")
        .append(walk_of_scope)
        .append(narrowed)
        .append(first_walks)
        .append(walk_of_scope)
        .append(narrowed)
        .append(further_walks);
}

// Two statements, since a plan that serves "some tables or all" would walk the wrong index for one of them.
const statement& page_of_app() {
    static const std::string sql =
        page_sql("select scope, null as name from unnest($2::text[]) as scope", {});
    static const statement made{"page_of_app", sql.c_str()};
    return made;
}

const statement& page_of_tables() {
    static const std::string sql = page_sql(
        "select scope, name from unnest($2::text[]) as scope, unnest($11::text[]) as name", of_one_table);
    static const statement made{"page_of_tables", sql.c_str()};
    return made;
}

// Twice its share of a page is more than most walks need.
std::int64_t rows_of_first_walk(const page_request& wanted, std::size_t scopes) {
    constexpr std::int64_t least = 20;
    const auto walks = static_cast<std::int64_t>(scopes * std::max<std::size_t>(wanted.tables.size(), 1));
    const std::int64_t rows = wanted.rows;
    return std::min(rows, std::max(2 * rows / walks, least));
}

enum page_column {
    event_id,
    created_at,
    table_name,
    record_id,
    op,
    data,
    field_meta,
    schema_version,
    actor,
    origin,
    space_id,
    found,
    record_data,
    record_meta
};

sync::json_object object_in(const rows& page, int row, int column) {
    if (page.is_null(row, column)) return {};
    auto value = sync::parse_stored_json(page.text(row, column));
    auto* object = std::get_if<sync::json_object>(&value.held);
    return object != nullptr ? std::move(*object) : sync::json_object{};
}

sync::logged_change change_in(const rows& page, int row) {
    sync::logged_change change;
    change.event_id = page.text(row, event_id);
    change.heading.table = page.text(row, table_name);
    change.heading.record_id = page.text(row, record_id);
    change.heading.schema_version = static_cast<int>(page.number(row, schema_version));
    change.heading.space = page.text(row, space_id);
    change.heading.origin = page.text(row, origin);
    if (!page.is_null(row, actor)) change.heading.actor = sync::parse_stored_json(page.text(row, actor));
    change.op = sync::parse_operation(page.text(row, op)).value_or(sync::operation::update);
    change.data = object_in(page, row, data);
    change.fields =
        sync::shown_fields(change.data, object_in(page, row, field_meta), page.position(row, created_at));
    return change;
}

void append_changes(std::vector<sync::wire_change>& out, const rows& page, int row) {
    std::optional<sync::record_state> record;
    if (!page.is_null(row, record_data))
        record = sync::from_stored(page.text(row, record_data), page.text(row, record_meta), {});
    for (auto& change : sync::changes_of(change_in(page, row), record ? &*record : nullptr)) {
        change.at = page.position(row, created_at);
        out.push_back(std::move(change));
    }
}

sync::answer to_answer(const page_request& wanted, const rows& horizon, const rows& page) {
    sync::answer answer;
    const int count = page.count();
    for (int row = 0; row < count; ++row) append_changes(answer.server_changes, page, row);
    if (!wanted.spaces_known) {
        answer.synced_until = wanted.since;
        return answer;
    }
    answer.has_more = count > 0 && page.number(0, found) > count;
    if (answer.has_more) {
        answer.synced_until = {page.position(count - 1, created_at), wanted.since.from_epoch};
        return answer;
    }
    // A cursor never goes back, and one beyond the newest position counts as the newest.
    answer.synced_until.at = std::min(wanted.since.at, horizon.position(0, 1));
    if (!horizon.is_null(0, 0))
        answer.synced_until.at = std::max(answer.synced_until.at, horizon.position(0, 0));
    return answer;
}

} // namespace

std::span<const statement> page_statements() {
    static const auto list = [] {
        const auto spaces = joined_spaces_statements();
        std::vector<statement> all(spaces.begin(), spaces.end());
        all.insert(all.end(), {horizon_statement, version_statement, page_of_app(), page_of_tables()});
        return all;
    }();
    return list;
}

std::optional<shown_spaces> spaces_of_page(connection& on, const reader& who, const page_request& wanted,
                                           deadline until) {
    if (!wanted.spaces_shared || !wanted.spaces_known) return std::nullopt;
    return follow_spaces(on, wanted.app, who, until);
}

page_reading::page_reading(connection& on, const reader& who, const page_request& wanted,
                           const std::optional<shown_spaces>& shown, const std::optional<page_bound>& bound)
    : who_(who), wanted_(wanted), shown_(shown), bound_(bound),
      in_(on, who.user, shown ? shown->members : std::vector<std::string>{}) {}

void page_reading::send() {
    const auto scopes = scopes_of(who_.user, shown_.value_or(shown_spaces{}));
    const parameter own_until = bound_ ? parameter::timestamp(bound_->newest_before) : parameter("infinity");
    const parameter last_row =
        bound_ && !bound_->last_row.empty() ? parameter(bound_->last_row) : parameter(std::nullopt);
    in_.send(horizon_statement, {wanted_.app, parameter::array(scopes), last_row, own_until});
    send_page(scopes, own_until);
    if (shown_) in_.send(version_statement, {who_.user, wanted_.app});
    in_.send_commit();
}

void page_reading::send_page(const std::vector<std::string>& scopes, const parameter& own_until) {
    const bool bring_own = wanted_.include_own || wanted_.since.from_epoch;
    std::vector<parameter> parameters{wanted_.app,
                                      parameter::array(scopes),
                                      parameter::timestamp(wanted_.since.at),
                                      parameter::number(wanted_.rows),
                                      parameter::number(wanted_.bytes),
                                      who_.client,
                                      who_.user,
                                      parameter::boolean(bring_own),
                                      own_until,
                                      parameter::number(rows_of_first_walk(wanted_, scopes.size()))};
    if (wanted_.tables.empty()) return in_.send(page_of_app(), parameters);
    parameters.push_back(parameter::array(wanted_.tables));
    in_.send(page_of_tables(), parameters);
}

sync::answer page_reading::finish(deadline until) {
    const auto results = in_.committed(until);
    if (shown_) {
        const auto& version = results.at(2);
        if (shown_->version != (version.count() > 0 ? version.text(0, 0) : "")) throw spaces_changed{};
    }
    auto answer = to_answer(wanted_, results.at(0), results.at(1));
    answer.has_more = answer.has_more || (shown_ && shown_->unfinished);
    return answer;
}

sync::answer read_page(connection& on, const reader& who, const page_request& wanted,
                       const std::optional<page_bound>& bound, deadline until) {
    return with_retries(until, [&] {
        const auto shown = spaces_of_page(on, who, wanted, until);
        page_reading reading(on, who, wanted, shown, bound);
        reading.send();
        try {
            return reading.finish(until);
        } catch (const postgres_error& failed) {
            if (failed.next() != remedy::in_doubt) throw;
            throw postgres_error{remedy::reconnect, failed.what()};
        }
    });
}

sync::answer read_page(connection& on, const reader& who, const page_request& wanted, deadline until) {
    return read_page(on, who, wanted, std::nullopt, until);
}

} // namespace mana::store
