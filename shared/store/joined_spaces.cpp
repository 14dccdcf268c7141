#include "shared/store/joined_spaces.hpp"

#include "shared/store/text_array.hpp"
#include "shared/sync/record.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::store {

namespace {

using names = std::vector<std::string>;

constexpr int records_at_once = 1'000;
constexpr int bytes_at_once = 4'000'000;

// $1 user, $2 app.
constexpr statement look_statement{"look_at_spaces", R"(
select to_json(spaces), to_json(copied), changed::text, joining, after_table, after_record,
       (extract(epoch from covered) * 1000000)::bigint,
       (select to_json(spaces) from sync_users where user_id = $1)
from (select $1 as user_id, $2 as app_id) as asked
left join sync_reader_spaces using (user_id, app_id))"};
constexpr statement add_statement{"add_reader_spaces", R"(
insert into sync_reader_spaces (user_id, app_id) values ($1, $2) on conflict do nothing)"};
constexpr statement hold_statement{"hold_reader_spaces", R"(
select to_json(spaces), to_json(copied), changed::text, joining, after_table, after_record,
       (extract(epoch from covered) * 1000000)::bigint
from sync_reader_spaces where user_id = $1 and app_id = $2 for update)"};

// $1 user, $2 app; what hold_reader_spaces gives, and $9: whether pages show something else now.
constexpr statement keep_statement{"keep_reader_spaces", R"(
update sync_reader_spaces
set spaces = $3, copied = $4, joining = $5, after_table = $6, after_record = $7, covered = $8::timestamptz,
    changed = case when $9::boolean then pg_current_xact_id() else changed end
where user_id = $1 and app_id = $2
returning changed::text)"};

// $1 app, $2 written scopes, $3 scopes that are read.
constexpr statement lock_statement{"lock_to_copy", "select from lock_scopes($1, $2, $3)"};

// $1 app, $2 the space's scope. Before the copying, in a statement of its own: writers of a scope commit in
// the order of their positions, so the records that are read after this have all that was written up to it.
constexpr statement newest_statement{"newest_in_space", R"(
select coalesce((select (extract(epoch from created_at) * 1000000)::bigint
                 from sync_changes where scope = $2 and app_id = $1 order by created_at desc limit 1), 0))"};

// Copies records as they are now: $1 app, $2 the space's scope, $3 the scope of copies, $4 user, $5 space,
// $6 records and $7 bytes at most. A record that ever was deleted begins with its delete, for who comes back
// may hold it from before. The rows are a client's own for nobody, and carry the shown times (rule 7).
//
// `found`: the records that come after $8 and $9, in the order of their names …
constexpr std::string_view walked_sql = R"(
with found as materialized (
    select *, null::timestamptz as written_at, row_number() over (order by table_name, record_id) as place
    from (
        select table_name, record_id, data, meta, tombstone
        from sync_records
        where scope = $2 and app_id = $1 and (table_name, record_id) > ($8, $9)
        order by table_name, record_id
        limit $6::int
    ) as next_ones
))";
// … or those of the rows beyond $8, in the order of the rows.
constexpr std::string_view changed_sql = R"(
with found as materialized (
    select change.*, record.data, record.meta, record.tombstone, row_number() over (order by written_at) as place
    from (
        select table_name, record_id, created_at as written_at
        from sync_changes
        where scope = $2 and app_id = $1 and created_at > $8::timestamptz
        order by created_at
        limit $6::int
    ) as change
    left join lateral (
        select * from sync_records
        where scope = $2 and app_id = $1 and table_name = change.table_name and record_id = change.record_id
        offset 0 -- one look-up by the whole key a row
    ) as record on true
))";
constexpr std::string_view copy_sql = R"(,
taken as materialized (
    select *
    from (
        select *, sum(octet_length(data::text)) over (order by place rows unbounded preceding) as running from found
    ) as weighed
    where coalesce(running, 0) <= $7::bigint or place = 1
),
records as materialized (
    select distinct on (table_name, record_id) * from taken where data is not null order by table_name, record_id
),
copies as materialized (
    select table_name, record_id, 'delete' as op, null::jsonb as data, '{}'::jsonb as field_meta
    from records where tombstone is not null
    union all
    select table_name, record_id, 'update', data,
           (select jsonb_object_agg(name, coalesce(times -> 'shown', times -> 'at', '"1970-01-01T00:00:00.000Z"'))
            from jsonb_each(meta) as field(name, times))
    from records where data <> '{}'
),
clock as materialized (
    select take_positions(copies_count::int) as first
    from (select count(*) as copies_count from copies) as counted where copies_count > 0
),
logged as (
    insert into sync_changes (app_id, user_id, client_id, scope, space_id, table_name, record_id, op, data, field_meta,
                              told, bytes, created_at)
    select $1, $4, '', $3, $5, table_name, record_id, op, data, field_meta,
           true, coalesce(octet_length(data::text), 0) + octet_length(field_meta::text),
           clock.first + (place - 1) * interval '1 microsecond'
    from clock, (select *, row_number() over (order by table_name, record_id, op) as place from copies) as placed
    order by place
    returning table_name, created_at
),
announced as (
    insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest)
    select $3, $1, $4, '', array_agg(distinct table_name collate "C"), count(*), max(created_at)
    from logged having count(*) > 0
)
select (select count(*) from found), (select count(*) from taken), (select count(*) from logged),
       table_name, record_id, (extract(epoch from written_at) * 1000000)::bigint
from (values (1)) as always
left join (select * from taken order by place desc limit 1) as last_one on true)";

const statement& copy_walked() {
    static const std::string sql = std::string(walked_sql).append(copy_sql);
    static const statement made{"copy_walked", sql.c_str()};
    return made;
}

const statement& copy_changed() {
    static const std::string sql = std::string(changed_sql).append(copy_sql);
    static const statement made{"copy_changed", sql.c_str()};
    return made;
}

enum held_column { spaces, copied, changed, joining, after_table, after_record, covered, memberships };

/// How far the walk through a space's records has come: to this one.
struct walk_place {
    std::string table;
    std::string record_id;
    bool operator==(const walk_place&) const = default;
};

/// The space that is being copied.
struct copying {
    std::string space;
    std::optional<walk_place> walked; ///< nothing: through all of them
    sync::position covered;           ///< what was written up to here is in the copies of those reached
    bool operator==(const copying&) const = default;
};

/// A row of sync_reader_spaces; one that is not there is empty.
struct standing {
    names spaces;
    names copied;
    std::string version;
    std::optional<copying> joining;

    [[nodiscard]] bool same_as(const standing& other) const {
        return spaces == other.spaces && copied == other.copied && joining == other.joining;
    }
};

standing standing_in(const rows& held) {
    standing found;
    if (held.is_null(0, changed)) return found;
    found.spaces = texts_in(held.text(0, spaces));
    found.copied = texts_in(held.text(0, copied));
    found.version = held.text(0, changed);
    if (held.is_null(0, joining)) return found;
    auto& under_way = found.joining.emplace();
    under_way.space = held.text(0, joining);
    if (!held.is_null(0, after_table))
        under_way.walked = {std::string(held.text(0, after_table)), std::string(held.text(0, after_record))};
    under_way.covered = held.position(0, covered);
    return found;
}

bool contains(const names& sorted, const std::string& name) {
    return std::ranges::binary_search(sorted, name);
}

void insert(names& sorted, const std::string& name) {
    if (!contains(sorted, name)) sorted.insert(std::ranges::lower_bound(sorted, name), name);
}

/// What one transaction copied.
struct copied_records {
    bool all = false; ///< nothing is left to copy in the same way
    std::int64_t rows = 0;
    walk_place last;
    sync::position written_at; ///< of the last row that was looked at
};

copied_records copied_in(const rows& result) {
    const auto found = result.number(0, 0);
    const auto taken = result.number(0, 1);
    return {found < records_at_once && taken == found,
            result.number(0, 2),
            {std::string(result.text(0, 3)), std::string(result.text(0, 4))},
            result.position(0, 5)};
}

class follower {
  public:
    follower(connection& on, const std::string& app, const reader& member, deadline until)
        : on_(on), app_(app), user_(member.user), until_(until), members_(member.spaces) {}

    shown_spaces run() {
        const auto now = std::chrono::steady_clock::now();
        const auto copy_until = now + (until_ - now) / 2;
        look();
        for (bool copied = false;; copied = true) {
            if (has_left()) with_retries(until_, [this] { leave(); });
            const auto next = next_space();
            const bool goes_on = next && std::chrono::steady_clock::now() < copy_until;
            if (!goes_on || !copy_some(*next))
                return {members_, held_.spaces, held_.copied, held_.version, next && copied};
        }
    }

  private:
    connection& on_;
    const std::string& app_;
    const std::string& user_;
    const deadline until_;
    names members_;
    standing held_;

    void look() {
        const auto found = with_retries(until_, [this] {
            transaction looking(on_, user_, {});
            looking.send(look_statement, {user_, app_});
            return std::move(looking.commit_repeatable(until_).at(0));
        });
        held_ = standing_in(found);
        if (!found.is_null(0, memberships)) members_ = texts_in(found.text(0, memberships));
        std::ranges::sort(members_);
    }

    [[nodiscard]] bool is_member(const std::string& space) const { return contains(members_, space); }

    [[nodiscard]] bool has_left() const {
        const auto left = [this](const std::string& space) { return !is_member(space); };
        return std::ranges::any_of(held_.spaces, left) || std::ranges::any_of(held_.copied, left) ||
               (held_.joining && left(held_.joining->space));
    }

    /// One that was begun goes first.
    [[nodiscard]] std::optional<std::string> next_space() const {
        if (held_.joining) return held_.joining->space;
        const auto found = std::ranges::find_if(
            members_, [this](const auto& space) { return !contains(held_.spaces, space); });
        return found != members_.end() ? std::optional(*found) : std::nullopt;
    }

    void send_hold(transaction& in, const names& written, const names& only_read) {
        in.send(lock_statement, {app_, parameter::array(written), parameter::array(only_read)});
        in.send(add_statement, {user_, app_});
        in.send(hold_statement, {user_, app_});
    }

    /// Copies of what was left stay in the log and are not read. Whoever comes back is given new ones: those
    /// lie behind cursors that were handed out meanwhile.
    void leave() {
        transaction in(on_, user_, members_);
        send_hold(in, {sync::scope_of_user(user_)}, {});
        auto stays = standing_in(in.finish(until_).at(2));
        const auto left = [this](const std::string& space) { return !is_member(space); };
        std::erase_if(stays.spaces, left);
        std::erase_if(stays.copied, left);
        if (stays.joining && left(stays.joining->space)) stays.joining.reset();
        keep(in, std::move(stays), true);
    }

    /// False where a lock could not be had: others are at it, and the next call goes on.
    bool copy_some(const std::string& space) {
        try {
            if (!copy(space)) look();
            return true;
        } catch (const postgres_error& failed) {
            if (failed.next() != remedy::retry_now) throw;
            return false;
        }
    }

    /// One transaction of it; false where another process was faster. The first and the last one change what
    /// pages show, so they lock the user's scope against them, and the space against its writers: what is
    /// shown as whole lacks nothing. Those between lock neither.
    bool copy(const std::string& space) {
        const bool walking = !held_.joining || held_.joining->walked;
        const bool between = held_.joining && walking;
        names written{scope_of_copies(user_, space)};
        names only_read;
        if (!between) {
            written.push_back(sync::scope_of_user(user_));
            only_read.push_back(sync::scope_of_space(space));
        }
        transaction in(on_, user_, members_);
        send_hold(in, written, only_read);
        in.send(newest_statement, {app_, sync::scope_of_space(space)});
        send_copy(in, space);
        const auto results = in.finish(until_);
        auto next = standing_in(results.at(2));
        if (!next.same_as(held_)) return false;
        const auto done = copied_in(results.at(4));
        if (!next.joining) begin(next, space, done, results.at(3).position(0, 0));
        go_on(next, between, done);
        keep(in, std::move(next), !between);
        return true;
    }

    void send_copy(transaction& in, const std::string& space) {
        const auto& under_way = held_.joining;
        std::vector<parameter> parameters{
            app_,  sync::scope_of_space(space),        scope_of_copies(user_, space),   user_,
            space, parameter::number(records_at_once), parameter::number(bytes_at_once)};
        if (under_way && !under_way->walked) {
            parameters.push_back(parameter::timestamp(under_way->covered));
            return in.send(copy_changed(), parameters);
        }
        const auto place = under_way ? *under_way->walked : walk_place{};
        parameters.emplace_back(place.table);
        parameters.emplace_back(place.record_id);
        in.send(copy_walked(), parameters);
    }

    /// Copies are shown from their first row on: a cursor must not be handed out beyond rows that come later.
    static void begin(standing& next, const std::string& space, const copied_records& done,
                      sync::position newest) {
        next.joining = {space, walk_place{}, newest};
        if (done.rows > 0 || !done.all) insert(next.copied, space);
    }

    /// With the space locked against its writers, and no record left that changed since it was copied, it is
    /// shown.
    static void go_on(standing& next, bool between, const copied_records& done) {
        auto& under_way = *next.joining;
        if (!done.all && !under_way.walked) under_way.covered = done.written_at;
        if (under_way.walked) under_way.walked = done.all ? std::nullopt : std::optional(done.last);
        if (between || !done.all) return;
        insert(next.spaces, under_way.space);
        next.joining.reset();
    }

    void keep(transaction& in, standing next, bool shown_changed) {
        const auto& under_way = next.joining;
        const auto none = parameter(std::nullopt);
        const bool walks = under_way && under_way->walked;
        in.send(keep_statement, {user_, app_, parameter::array(next.spaces), parameter::array(next.copied),
                                 under_way ? parameter(under_way->space) : none,
                                 walks ? parameter(under_way->walked->table) : none,
                                 walks ? parameter(under_way->walked->record_id) : none,
                                 under_way ? parameter::timestamp(under_way->covered) : none,
                                 parameter::boolean(shown_changed)});
        next.version = in.commit_repeatable(until_).at(0).text(0, 0);
        held_ = std::move(next);
    }
};

} // namespace

std::span<const statement> joined_spaces_statements() {
    static const std::array list{look_statement, add_statement,    hold_statement, keep_statement,
                                 lock_statement, newest_statement, copy_walked(),  copy_changed()};
    return list;
}

shown_spaces follow_spaces(connection& on, const std::string& app, const reader& member, deadline until) {
    return follower(on, app, member, until).run();
}

} // namespace mana::store
