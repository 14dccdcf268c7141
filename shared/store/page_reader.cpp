#include "shared/store/page_reader.hpp"

#include "shared/runtime/log.hpp"
#include "shared/store/joined_spaces.hpp"
#include "shared/sync/held_rows.hpp"
#include "shared/sync/shown_row.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::store {

namespace {

using sync::position;

// $1 app, $2 scopes, $3 tables or null, $4 since, $5 bound, $6 user: see sql/0011_cost.sql. In a transaction
// of its own, which frees the locks; whatever is read up to the horizon afterwards is there to stay.
constexpr statement ahead_statement{"look_ahead", R"(
select (extract(epoch from horizon) * 1000000)::bigint, (extract(epoch from newest) * 1000000)::bigint, spaces, anything
from look_ahead($1, $2, $3::text[], $4::timestamptz, $5::timestamptz, $6))"};

// Pages. $1 app, $2 scope or scopes, $3 since, $4 rows, $5 bytes, $6 the reader's client ('' leaves nothing
// out), $7 the reader, $8 whether own rows are brought, up to $9; the page's end: $10 a position, or $11 the
// row that bounds it; $12 whether each row's record is looked at; $13 a table, or of several scopes the rows
// of a first walk, and $14 tables.
//
// Own rows are left out but for those of a marked record (rule 8), which a small index knows
// (sync_records_shown_otherwise). Those of the very push that the page answers are never shown: what its
// author must be told of them comes beside the page (said_once.hpp).
constexpr std::string_view of_page = R"(
          and change.created_at <= (select coalesce($10::timestamptz,
                                                    (select created_at from sync_changes where id = $11::uuid)))
          and case when $6 <> '' and change.client_id = $6 and change.user_id = $7
                   then change.created_at <= $9::timestamptz and (change.told or $8::boolean or exists (
                       select from sync_records as record
                       where record.scope = <home>
                         and record.app_id = change.app_id and record.table_name = change.table_name
                         and record.record_id = change.record_id and record.marked))
                   else true end)";

// What is shown of a row. One that no longer fits, by rows or by bytes, comes without its values, and says
// that there is more. Of the record's state only what rule 7 needs: of a deleted record its deletedAt, of an
// undelete all fields, and of one that the reader inserted when its fields were held.
constexpr std::string_view columns_of_page = R"(
select change.id, (extract(epoch from change.created_at) * 1000000)::bigint, change.table_name, change.record_id,
       change.op, case when not beyond then change.data::text end, change.field_meta::text, change.schema_version,
       change.actor::text, change.origin, change.space_id, beyond,
       case when undeletes or held_here then (select record.data::text <record>)
            when deleted.data is not null then jsonb_build_object('deletedAt', deleted.data -> 'deletedAt')::text end,
       case when undeletes or held_here or $12::boolean then (select record.meta::text <record>)
            when deleted.data is not null then jsonb_build_object('deletedAt', deleted.meta -> 'deletedAt')::text end,
       case when held_here then change.held::text end,
       case when held_here then (extract(epoch from clock_timestamp()) * 1000)::bigint end,
       case when $6 <> '' and change.client_id = $6 and change.user_id = $7 and not change.told and not $8::boolean
            then not coalesce((select record.dropped <record>), true) end,
       case when $12::boolean then not coalesce((select record.dropped <record>), true) end)";
// A row that is held for the reader, see held_rows.hpp.
constexpr std::string_view held_for_reader =
    "(held is not null and held @> jsonb_build_array(jsonb_build_object('client', $6::text, 'user', "
    "$7::text)))";
constexpr std::string_view record_of_row = R"(from sync_records as record
             where record.scope = <home> and record.app_id = change.app_id
               and record.table_name = change.table_name and record.record_id = change.record_id)";
constexpr std::string_view deleted_record = R"(
left join lateral (
    select record.data, record.meta <record> and record.deleted<gate>
    offset 0 -- one look-up by the whole key a row
) as deleted on true)";

// Where a row's record lives: that of a copy in its space. A subselect around it, since PostgreSQL takes no
// index condition that calls a function which is not leakproof, and would walk the whole index for each row.
constexpr std::string_view home_of_any =
    "(select case when starts_with(change.scope, 'm:') then 's:' || change.space_id else change.scope end)";
constexpr std::string_view home_of_own = "$2";

constexpr std::string_view weighed = R"(
           row_number() over in_order > $4::int
           or (sum(bytes) over in_order > $5::bigint and row_number() over in_order > 1) as beyond,
           sum(bytes) over in_order - bytes as before)";
constexpr std::string_view in_order = " window in_order as (order by created_at rows unbounded preceding)";

std::string with(std::string sql, std::string_view name, std::string_view meaning) {
    for (auto at = sql.find(name); at != std::string::npos; at = sql.find(name, at + meaning.size()))
        sql.replace(at, name.size(), meaning);
    return sql;
}

// Most users have no deleted records: of one scope that is known by one look, and then no row is looked up.
constexpr std::string_view some_are_deleted = " and (select exists (select from sync_records where scope = "
                                              "$2 and app_id = $1 and (marked or deleted)))";

std::string finished(std::string sql, std::string_view home, std::string_view gate) {
    return with(with(with(std::move(sql), "<gate>", gate), "<record>", record_of_row), "<home>", home);
}

// The reader's own scope alone, which is all that most readers have: one walk along one index.
std::string page_of_scope_sql(std::string_view narrowed) {
    std::string sql{columns_of_page};
    sql.append("\nfrom (select walked.*, data -> 'deletedAt' = 'null' as undeletes, ")
        .append(held_for_reader)
        .append(" as held_here,")
        .append(weighed)
        .append(R"(
    from (
        select * from sync_changes as change
        where change.scope = $2 and change.app_id = $1 and change.created_at > $3::timestamptz)");
    sql.append(of_page).append(narrowed).append(R"(
        order by change.created_at
        limit $4::int + 1
    ) as walked)");
    sql.append(in_order).append(") as change").append(deleted_record).append(R"(
where change.before <= $5::bigint
order by change.created_at)");
    return finished(std::move(sql), home_of_own, some_are_deleted);
}

// Each scope (or each table of each scope) is walked along its index, the walks are merged and cut by rows,
// then by bytes. Who reads many scopes needs few rows of each: a first walk takes just $13 and one, which
// give a bound for the page's end; those that end before it go on from there, up to it.
constexpr std::string_view walk_of_scope = R"(
        select change.ctid as place, change.created_at, change.bytes
        from sync_changes as change
        where change.scope = reader.scope and change.app_id = $1)";
constexpr std::string_view first_walks = R"(
          and change.created_at > $3::timestamptz
        order by change.created_at
        limit $13::int + 1
    ) as step
),
bound as materialized (
    select coalesce((select created_at from walked order by created_at offset $4::int limit 1), 'infinity') as last_row
),
further as (
    select step.*
    from (
        select scope, name, max(created_at) as reached
        from walked group by scope, name having count(*) > $13::int
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
    select place,)";
constexpr std::string_view merged_walks = R"(
    from (
        select place, created_at, bytes from walked
        union all
        select place, created_at, bytes from further
        order by created_at limit $4::int + 1
    ) as merged)";
// `readers`: what is walked, scope by scope; `narrowed`: to which of its rows.
std::string page_of_scopes_sql(std::string_view readers, std::string_view narrowed) {
    const auto walk = std::string(walk_of_scope).append(of_page).append(narrowed);
    std::string sql{"with walked as materialized (select reader.*, step.* from ("};
    sql.append(readers).append(") as reader cross join lateral (").append(walk).append(first_walks);
    sql.append(walk).append(further_walks).append(weighed).append(merged_walks).append(in_order);
    sql.append("\n)").append(columns_of_page).append(R"(
from (select place, beyond from page where before <= $5::bigint) as page
join sync_changes as change on change.ctid = page.place
cross join lateral (select change.data -> 'deletedAt' = 'null' as undeletes, )");
    sql.append(held_for_reader).append(" as held_here offset 0) as kind");
    sql.append(deleted_record).append("\norder by change.created_at");
    return finished(std::move(sql), home_of_any, {});
}

// A plan that serves "some tables or all", or "one scope or many", would walk the wrong index for one of
// them.
struct page_statement_list {
    const std::string scope_sql = page_of_scope_sql({});
    const std::string table_sql = page_of_scope_sql(" and change.table_name = $13");
    const std::string scopes_sql =
        page_of_scopes_sql("select scope, null as name from unnest($2::text[]) as scope", {});
    const std::string tables_sql =
        page_of_scopes_sql("select scope, name from unnest($2::text[]) as scope, unnest($14::text[]) as name",
                           " and change.table_name = reader.name");
    const statement scope{"page_of_scope", scope_sql.c_str()};
    const statement table{"page_of_table", table_sql.c_str()};
    const statement scopes{"page_of_scopes", scopes_sql.c_str()};
    const statement tables{"page_of_tables", tables_sql.c_str()};
};

const page_statement_list& statements_of_pages() {
    static const page_statement_list made;
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
    beyond,
    record_data,
    record_meta,
    held,
    clock,
    only_objects,
    never_dropped
};

sync::stored_row row_in(const rows& page, int row) {
    return {page.text(row, event_id),       page.text(row, table_name),
            page.text(row, record_id),      page.text(row, op),
            page.text(row, data),           page.text(row, field_meta),
            page.text(row, schema_version), page.text(row, actor),
            page.text(row, origin),         page.text(row, space_id),
            page.position(row, created_at)};
}

/// The rows of a page as changes; `has_more` where it was cut, and then the position of its end.
class page_rows {
  public:
    page_rows(sync::answer& into, const rows& page, const page_request& wanted, const reader& who)
        : into_(into), page_(page), who_(who), count_(rows_that_fit(page)),
          said_(wanted.said != nullptr ? *wanted.said : of_pull_),
          back_(wanted.since, wanted.tables.size() == 1, count_ < page.count()),
          writer_(into.server_changes) {
        into.has_more = count_ < page.count();
        if (into.has_more)
            into.synced_until = {.at = page.position(count_ - 1, created_at),
                                 .from_epoch = wanted.since.from_epoch};
    }

    /// How its cursor is written down where the page ends at a position.
    [[nodiscard]] sync::cursor end_at(position end) const { return back_.end_of_page(end); }

    void take() {
        const auto named = names();
        const auto elsewhere = said_.sift(named);
        for (int row = 0; row < count_; ++row) {
            const auto at = static_cast<std::size_t>(row);
            const bool is_needless = named[at].was_shown || named[at].only_objects || said_.of_push();
            write_readable(row, elsewhere[at], is_needless);
        }
    }

  private:
    sync::answer& into_;
    const rows& page_;
    const reader& who_;
    const int count_;
    sync::said_once of_pull_;
    sync::said_once& said_;
    sync::held_rows back_;
    sync::row_writer writer_;

    static int rows_that_fit(const rows& page) {
        const int last = page.count() - 1;
        return last >= 0 && page.boolean(last, beyond) ? last : last + 1;
    }

    [[nodiscard]] bool is_only_objects(int row) const {
        return !page_.is_null(row, only_objects) && page_.boolean(row, only_objects);
    }

    [[nodiscard]] sync::name_set readers(int row) const {
        if (page_.is_null(row, never_dropped) || !page_.boolean(row, never_dropped) ||
            page_.is_null(row, record_meta))
            return {};
        return sync::fields_of(sync::from_stored("{}", page_.text(row, record_meta), who_.user), who_.user,
                               who_.client);
    }

    std::vector<sync::page_row> names() {
        std::vector<sync::page_row> named;
        named.reserve(static_cast<std::size_t>(count_));
        for (int row = 0; row < count_; ++row)
            named.push_back({page_.text(row, table_name), page_.text(row, record_id), page_.text(row, op),
                             page_.text(row, data), is_only_objects(row), readers(row),
                             back_.was_shown(page_.position(row, created_at), !page_.is_null(row, held),
                                             page_.text(row, table_name), page_.text(row, record_id))});
        return named;
    }

    /// No push stores a row that cannot be read, but whoever owns the tables can: it stops no page.
    void write_readable(int row, const sync::said_elsewhere& elsewhere, bool is_needless) {
        try {
            write(row, elsewhere, is_needless);
        } catch (const std::invalid_argument& why) {
            runtime::log::error("row_unreadable",
                                {{"event", page_.text(row, event_id)}, {"reason", why.what()}});
        }
    }

    /// Throws std::invalid_argument where a JSON column has another form than all that is stored by a push.
    /// `is_needless`: if the row says nothing, its names need not be told either.
    void write(int row, const sync::said_elsewhere& elsewhere, bool is_needless) {
        auto change = row_in(page_, row);
        if (!page_.is_null(row, held)) hold(change, row);
        if (elsewhere.all() && is_needless) return;
        std::optional<sync::record_state> record;
        if (!page_.is_null(row, record_data))
            record = sync::from_stored(page_.text(row, record_data), page_.text(row, record_meta), who_.user);
        writer_.write(change, record ? &*record : nullptr, elsewhere);
    }

    void hold(sync::stored_row& change, int row) {
        const auto holds = sync::holds_from_stored(page_.text(row, held), {});
        const auto* mine = sync::find_hold(holds, who_.user, who_.client);
        if (mine == nullptr) return;
        change.held = *mine;
        change.settled = back_.settles(change.at, *mine,
                                       sync::instant{std::chrono::milliseconds{page_.number(row, clock)}});
    }
};

/// Where the page was not cut, its cursor is that of its end.
void take_rows(sync::answer& into, const rows& page, const page_request& wanted, const reader& who,
               position end) {
    page_rows taken(into, page, wanted, who);
    taken.take();
    if (!into.has_more) into.synced_until = taken.end_at(end);
}

/// How far a reader may read, and whether there is anything.
struct outlook {
    std::optional<position> horizon; ///< none: nothing is there at all
    position newest;
    std::string spaces;
    bool anything = false;
};

outlook outlook_in(const rows& ahead) {
    outlook found;
    if (!ahead.is_null(0, 0)) found.horizon = ahead.position(0, 0);
    found.newest = ahead.position(0, 1);
    found.spaces = ahead.text(0, 2);
    found.anything = ahead.boolean(0, 3);
    return found;
}

/// Where a page ends: at a position, or at a row whose position its sender does not know yet.
struct page_end {
    parameter at = parameter(std::nullopt);
    parameter row = parameter(std::nullopt);
};

void send_page(transaction& in, const reader& who, const page_request& wanted,
               const std::vector<std::string>& scopes, const page_end& end, const parameter& own_until) {
    const bool one_scope = scopes.size() == 1 && wanted.tables.size() <= 1;
    const bool bring_own = wanted.include_own || wanted.since.from_epoch;
    std::vector<parameter> parameters{wanted.app,
                                      one_scope ? parameter(scopes.front()) : parameter::array(scopes),
                                      parameter::timestamp(wanted.since.at),
                                      parameter::number(wanted.rows),
                                      parameter::number(wanted.bytes),
                                      who.client,
                                      who.user,
                                      parameter::boolean(bring_own),
                                      own_until,
                                      end.at,
                                      end.row,
                                      parameter::boolean(wanted.by_slow_clock)};
    const auto& prepared = statements_of_pages();
    if (one_scope && wanted.tables.empty()) return in.send(prepared.scope, parameters);
    if (one_scope) {
        parameters.emplace_back(wanted.tables.front());
        return in.send(prepared.table, parameters);
    }
    parameters.push_back(parameter::number(rows_of_first_walk(wanted, scopes.size())));
    if (wanted.tables.empty()) return in.send(prepared.scopes, parameters);
    parameters.push_back(parameter::array(wanted.tables));
    in.send(prepared.tables, parameters);
}

/// One page of a reader whose spaces are known.
class page_reading {
  public:
    page_reading(connection& on, const reader& who, const page_request& wanted,
                 const std::optional<shown_spaces>& shown, const std::optional<pushed_rows>& pushed,
                 deadline until)
        : on_(on), who_(who), wanted_(wanted), shown_(shown), pushed_(pushed), until_(until),
          members_(shown ? shown->members : std::vector<std::string>{}),
          scopes_(scopes_of(who.user, shown.value_or(shown_spaces{}))) {}

    sync::answer run() {
        const auto ahead = look_ahead();
        if (shown_ && shown_->version != ahead.spaces) throw spaces_changed{};
        sync::answer answer;
        answer.synced_until.at = end_of(ahead);
        if (ahead.anything) read_rows(answer, ahead);
        if (!wanted_.spaces_known) answer.synced_until = wanted_.since;
        answer.has_more = wanted_.spaces_known && (answer.has_more || (shown_ && shown_->unfinished));
        return answer;
    }

  private:
    connection& on_;
    const reader& who_;
    const page_request& wanted_;
    const std::optional<shown_spaces>& shown_;
    const std::optional<pushed_rows>& pushed_;
    const deadline until_;
    const std::vector<std::string> members_;
    const std::vector<std::string> scopes_;

    outlook look_ahead() {
        transaction looking(on_, who_.user, members_);
        looking.send(ahead_statement,
                     {wanted_.app, parameter::array(scopes_),
                      wanted_.tables.empty() ? parameter(std::nullopt) : parameter::array(wanted_.tables),
                      parameter::timestamp(wanted_.since.at), bound(), who_.user});
        return outlook_in(looking.commit_repeatable(until_).at(0));
    }

    /// A push's author reads up to its last row; where it wrote none, up to what was there when it had its
    /// locks. Between its rows lies no other: what is left to be found lies before them, unless they are
    /// shown to their author too.
    [[nodiscard]] parameter bound() const {
        constexpr std::chrono::microseconds one{1};
        if (!pushed_) return "infinity";
        if (!pushed_->last) return parameter::timestamp(pushed_->newest_before);
        return parameter::timestamp(pushed_->shown ? *pushed_->last : *pushed_->first - one);
    }

    void read_rows(sync::answer& answer, const outlook& ahead) {
        transaction reading(on_, who_.user, members_);
        const auto own_until = pushed_ ? parameter::timestamp(pushed_->newest_before) : parameter("infinity");
        const page_end end{parameter::timestamp(last_of_page(ahead)), parameter(std::nullopt)};
        send_page(reading, who_, wanted_, scopes_, end, own_until);
        take_rows(answer, reading.commit_repeatable(until_).at(0), wanted_, who_, end_of(ahead));
    }

    [[nodiscard]] position last_of_page(const outlook& ahead) const {
        const auto horizon = ahead.horizon.value_or(position{});
        return pushed_ && pushed_->last ? std::max(horizon, *pushed_->last) : horizon;
    }

    /// A cursor never goes back, and one beyond the newest position counts as the newest.
    [[nodiscard]] position end_of(const outlook& ahead) const {
        return std::max(std::min(wanted_.since.at, ahead.newest), last_of_page(ahead));
    }
};

sync::answer read_page(connection& on, const reader& who, const page_request& wanted,
                       const std::optional<pushed_rows>& pushed, deadline until) {
    return with_retries(until, [&] {
        const auto shown = spaces_of_page(on, who, wanted, until);
        try {
            return read_page_of(on, who, wanted, shown, pushed, until);
        } catch (const spaces_changed&) {
            if (wanted.remembered != nullptr) wanted.remembered->forget(wanted.app, who);
            throw;
        }
    });
}

} // namespace

std::span<const statement> page_statements() {
    static const auto list = [] {
        const auto spaces = joined_spaces_statements();
        const auto& pages = statements_of_pages();
        std::vector<statement> all(spaces.begin(), spaces.end());
        all.insert(all.end(), {ahead_statement, pages.scope, pages.table, pages.scopes, pages.tables});
        return all;
    }();
    return list;
}

std::optional<shown_spaces> spaces_of_page(connection& on, const reader& who, const page_request& wanted,
                                           deadline until) {
    if (!wanted.spaces_shared || !wanted.spaces_known) return std::nullopt;
    if (wanted.remembered == nullptr) return follow_spaces(on, wanted.app, who, until);
    if (auto known = wanted.remembered->find(wanted.app, who)) return known;
    auto found = follow_spaces(on, wanted.app, who, until);
    wanted.remembered->keep(wanted.app, who, found);
    return found;
}

sync::answer read_page_of(connection& on, const reader& who, const page_request& wanted,
                          const std::optional<shown_spaces>& shown, const std::optional<pushed_rows>& pushed,
                          deadline until) {
    return page_reading(on, who, wanted, shown, pushed, until).run();
}

sync::answer read_page(connection& on, const reader& who, const page_request& wanted, deadline until) {
    return read_page(on, who, wanted, std::nullopt, until);
}

sync::answer read_page(connection& on, const reader& who, const page_request& wanted,
                       const pushed_rows& pushed, deadline until) {
    return read_page(on, who, wanted, std::optional{pushed}, until);
}

author_page::author_page(connection& on, const reader& author, const page_request& wanted,
                         position newest_before)
    : author_(author), wanted_(wanted), newest_before_(newest_before), in_(on, author.user, {}) {}

void author_page::send(const std::string& last_row) {
    page_end end;
    end.row = last_row;
    send_page(in_, author_, wanted_, {scopes_of({author_.user, {}, {}})}, end,
              parameter::timestamp(newest_before_));
    in_.send_commit();
}

sync::answer author_page::finish(position last, deadline until) {
    sync::answer answer;
    take_rows(answer, in_.committed(until).at(0), wanted_, author_, last);
    return answer;
}

} // namespace mana::store
