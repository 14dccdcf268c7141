#include "shared/store/take_up.hpp"

#include "shared/runtime/log.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/store/waiting_row.hpp"
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace mana::store {

namespace {

constexpr int pairs_at_once = 32; // of a user and an app
constexpr int rows_at_once = 200;
constexpr std::int64_t bytes_at_once = 16'000'000;
constexpr std::string_view nothing_won = "nothing_won";

constexpr statement waiting_statement{"waiting_rows", "select * from waiting_rows($1, $2, $3::int)"};
constexpr statement nobodys_statement{"set_aside_nobodys_rows", "select set_aside_nobodys_rows()"};

// $1 user, $2 app, $3 rows, $4 bytes in all, $5 bytes of one row: a larger one comes without its JSON. In a
// statement of its own after the locks, so that no other transaction has taken one of them up. Who deletes
// rows has them locked and waits for their scope (erase_with_rows): it goes first, and these are tried again.
constexpr statement read_statement{"read_waiting_rows", R"(
select id, table_name, record_id, op, client_id, schema_version, origin, space_id, weight > $5::bigint as too_large,
       case when weight <= $5::bigint then data::text end,
       case when weight <= $5::bigint then field_meta::text end,
       case when weight <= $5::bigint then actor::text end,
       case when keeps_position then
           (extract(epoch from least(greatest(created_at, 'epoch'), '9999-01-01 00:00Z')) * 1000000)::bigint end,
       found
from (
    select first_ones.*, count(*) over () as found,
           sum(least(weight, $5::bigint)) over (order by keeps_position desc, created_at, place) as running
    from (
        select *, ctid as place, coalesce(octet_length(data::text), 0) + coalesce(octet_length(field_meta::text), 0)
                  + coalesce(octet_length(actor::text), 0) as weight
        from sync_changes
        where user_id = $1 and app_id = $2 and scope is null and set_aside is null
        order by keeps_position desc, created_at
        limit $3::int
        for update nowait
    ) as first_ones
) as weighed
where running <= $4::bigint or running = least(weight, $5::bigint)
order by keeps_position desc, created_at, place)"};

// $1 app, $2 scopes: up to where readers are shown each.
constexpr statement shown_statement{"newest_shown", R"(
select mine.scope, (extract(epoch from change.created_at) * 1000000)::bigint
from unnest($2::text[]) as mine(scope)
cross join lateral (
    select created_at from sync_changes where scope = mine.scope and app_id = $1
    order by created_at desc limit 1
) as change)"};

// $1 app, $2 user, $3 client, $4 how many; then one array a column. As many positions are taken as there are
// rows, also for those that keep theirs: the announcement is as new as its transaction. Ids are cast in a
// subselect: with a cast in its condition, the look-up by key would wait for row-level security's (a cast may
// tell, in an error, what it was given).
constexpr statement show_statement{"show_taken_up", R"(
with clock as materialized (select take_positions($4::int) as first),
shown as (
    update sync_changes as change
    set scope = won.scope, op = won.op, data = won.data::jsonb, field_meta = won.field_meta::jsonb,
        space_id = won.space_id, told = won.told::boolean, bytes = won.bytes::int, held = won.held::jsonb,
        created_at = coalesce(won.kept::timestamptz, clock.first + (won.place - 1) * interval '1 microsecond')
    from clock, (
        select given.*, given.id_text::uuid as id
        from unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                    $12::text[], $13::text[], $14::text[]) with ordinality
            as given(id_text, scope, op, data, field_meta, space_id, told, bytes, kept, held, place)
        offset 0
    ) as won
    where change.id = won.id
    returning change.scope, change.table_name
)
insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest)
select scope, $1, $2, $3, array_agg(distinct table_name collate "C"), count(*),
       (select first from clock) + ($4::int - 1) * interval '1 microsecond'
from shown group by scope)"};

// Rows and reasons. Of one of which nothing won, the values are among the lost writes; what can't be used
// stays as it came.
constexpr statement set_aside_statement{"set_rows_aside", R"(
update sync_changes as change
set set_aside = given.reason,
    data = case when given.reason = 'nothing_won' then '{}' else change.data end,
    field_meta = case when given.reason = 'nothing_won' then '{}' else change.field_meta end
from (select id::uuid, reason from unnest($1::text[], $2::text[]) as row(id, reason) offset 0) as given
where change.id = given.id)"};

// $1 user, $2 app.
constexpr statement no_old_rows_statement{"no_old_rows", R"(
delete from sync_old_rows where user_id = $1 and app_id = $2)"};

enum waiting_column {
    id,
    table_name,
    record_id,
    op,
    client_id,
    schema_version,
    origin,
    space_id,
    too_large,
    data,
    field_meta,
    actor,
    kept,
    found
};

std::optional<std::string> optional_text(const rows& read, int row, int column) {
    return read.is_null(row, column) ? std::nullopt : std::optional(std::string(read.text(row, column)));
}

waiting_row row_in(const rows& read, int at) {
    waiting_row row;
    row.id = read.text(at, id);
    row.table = read.text(at, table_name);
    row.record_id = read.text(at, record_id);
    row.op = read.text(at, op);
    row.client = read.text(at, client_id);
    row.schema_version = static_cast<int>(read.number(at, schema_version));
    row.origin = optional_text(read, at, origin);
    row.space = optional_text(read, at, space_id);
    row.too_large = read.boolean(at, too_large);
    row.data = optional_text(read, at, data);
    row.field_meta = optional_text(read, at, field_meta);
    row.actor = optional_text(read, at, actor);
    if (!read.is_null(at, kept)) row.kept = read.position(at, kept);
    return row;
}

/// Some rows of one user and app, in one transaction.
class batch {
  public:
    batch(connection& on, const std::string& app, const reader& who, const push_terms& terms, deadline until)
        : app_(app), who_(who), terms_(terms), until_(until), in_(on, who.user, who.spaces) {}

    taken_up run(int most) {
        read(most);
        for (const auto& row : waiting_) read_claims(row);
        read_states();
        for (auto& [row, change] : usable_) merge(*row, std::move(change));
        write();
        in_.commit(until_);
        return done_;
    }

    /// The first row only, unread.
    taken_up set_first_aside(const std::string& reason) {
        read(1);
        if (!waiting_.empty()) skip(waiting_.front(), reason);
        write();
        in_.commit(until_);
        return done_;
    }

  private:
    const std::string& app_;
    const reader& who_;
    const push_terms& terms_;
    const deadline until_;
    transaction in_;
    scope_locks locks_;
    std::map<std::string, sync::position> newest_shown_; ///< by scope
    std::vector<waiting_row> waiting_;
    std::vector<std::pair<const waiting_row*, sync::change>> usable_;
    sync::record_map records_;
    columns shown_;
    columns aside_;
    std::map<std::string, std::vector<sync::lost_write>> lost_; ///< by client
    std::set<std::string> clients_;                             ///< of the rows that are shown
    taken_up done_;

    void read(int most) {
        const auto scopes = scopes_of(who_);
        send_lock(in_, app_, {scopes.begin(), scopes.end()});
        in_.send(shown_statement, {app_, parameter::array(scopes)});
        in_.send(read_statement, {who_.user, app_, parameter::number(most), parameter::number(bytes_at_once),
                                  parameter::number(static_cast<std::int64_t>(terms_.limits.change_bytes))});
        const auto results = in_.finish(until_);
        locks_ = locks_in(results[0]);
        for (int row = 0; row < results[1].count(); ++row)
            newest_shown_[std::string(results[1].text(row, 0))] = results[1].position(row, 1);
        const auto& read = results[2];
        for (int row = 0; row < read.count(); ++row) waiting_.push_back(row_in(read, row));
        done_.more = read.count() > 0 && (read.count() == most || read.number(0, found) > read.count());
    }

    void read_claims(const waiting_row& row) {
        if (std::max(app_.size(), who_.user.size()) > terms_.limits.name_bytes) return skip(row, "too_long");
        auto change = change_in(row, terms_.limits);
        if (!change) return skip(row, change.error().reason);
        usable_.emplace_back(&row, std::move(*change));
    }

    void skip(const waiting_row& row, const std::string& reason) {
        aside_.add({row.id, reason});
        ++done_.skipped;
    }

    void read_states() {
        if (usable_.empty()) return;
        record_names named;
        for (const auto& [row, change] : usable_)
            named.emplace(change.heading.table, change.heading.record_id);
        send_records(in_, app_, who_, named);
        records_ = records_in(in_.finish(until_).at(0), who_.user);
    }

    /// A row from before the migrations was received when it was written, and of equal claims its readers
    /// took the last in order, as within one push.
    void merge(const waiting_row& row, sync::change change) {
        sync::writer author{who_.user, row.client, std::nullopt};
        if (terms_.spaces_shared && !stays_the_authors(row, change)) author.spaces = who_.spaces;
        set_fresh(change, author, row.kept.has_value());
        auto receipt = locks_.receipt;
        if (row.kept) receipt = std::min(receipt, std::chrono::floor<std::chrono::milliseconds>(*row.kept));
        std::vector<sync::change> one;
        one.push_back(std::move(change));
        auto merged = sync::merge_push(
            one, author, {.receipt = receipt, .max_clock_skew = terms_.max_clock_skew}, records_);
        if (merged.rows.empty() && !merged.rejected.empty()) return skip(row, merged.rejected.front().code);
        done_.lost += merged.fields_lost;
        done_.capped += merged.capped;
        auto& lost = lost_[row.client];
        std::ranges::move(merged.lost, std::back_inserter(lost));
        if (merged.rows.empty()) return aside_.add({row.id, std::string(nothing_won)});
        show(row, merged.rows.front());
    }

    /// The Go server asked nobody who shares a space: what it stored for one that its author is no member of
    /// is shown to the author alone.
    [[nodiscard]] bool stays_the_authors(const waiting_row& row, const sync::change& change) const {
        const auto& space = change.heading.space;
        return row.kept && sync::is_shared_space(space) &&
               std::ranges::find(who_.spaces, space) == who_.spaces.end();
    }

    void set_fresh(const sync::change& change, const sync::writer& author, bool fresh) {
        const auto record = records_.find(
            {sync::home_of(change, author, records_), change.heading.table, change.heading.record_id});
        if (record == records_.end()) return;
        for (auto& [name, field] : record->second.fields) field.fresh = fresh;
    }

    void show(const waiting_row& row, const sync::log_row& won) {
        auto stored = to_stored(won);
        const auto position = kept_position(row, won.scope);
        shown_.add({row.id, won.scope, std::string(sync::to_text(won.op)), std::move(stored.data),
                    std::move(stored.field_meta), text_or_null(won.heading.space), won.told ? "t" : "f",
                    std::move(stored.bytes),
                    position ? parameter::timestamp(*position).bytes() : std::nullopt,
                    std::move(stored.held)});
        clients_.insert(row.client);
        ++done_.rows;
    }

    /// Rows of one transaction of the Go server have one `created_at`, which a page cannot be cut within: a
    /// microsecond more each. Nothing where a kept position could lie behind a cursor of ours, or ahead of
    /// the clock: who reads several scopes may have been handed a cursor from another one.
    std::optional<sync::position> kept_position(const waiting_row& row, const std::string& scope) {
        const bool reads_other_scopes = !who_.spaces.empty();
        if (!row.kept || *row.kept <= sync::position{} || reads_other_scopes) return std::nullopt;
        auto& newest = newest_shown_[scope];
        const auto position = std::max(*row.kept, newest + std::chrono::microseconds{1});
        if (position > locks_.newest) return std::nullopt;
        newest = position;
        return position;
    }

    /// They come first.
    [[nodiscard]] bool more_old_rows() const {
        return done_.more && !waiting_.empty() && waiting_.back().kept;
    }

    void write() {
        if (!shown_.empty()) {
            const auto count = static_cast<std::int64_t>(shown_.rows());
            const std::string client = clients_.size() == 1 ? *clients_.begin() : std::string{};
            in_.send(show_statement, shown_.after({app_, who_.user, client, parameter::number(count)}));
        }
        if (!aside_.empty()) in_.send(set_aside_statement, aside_.after({}));
        if (locks_.old_rows_wait && !more_old_rows()) in_.send(no_old_rows_statement, {who_.user, app_});
        send_touched_records(in_, app_, who_.user, records_);
        for (const auto& [client, lost] : lost_)
            send_lost_writes(in_, app_, who_.user, client, lost, terms_.lost_writes_days);
    }
};

/// One batch. Where PostgreSQL refuses it, or it takes too long, its first row alone; where that is refused
/// too, the row is set aside: no row may keep the others from being taken up.
taken_up take_up_some(connection& on, const std::string& app, const reader& who, const push_terms& terms,
                      const std::function<deadline()>& until) {
    for (const int most : {rows_at_once, 1}) {
        try {
            return batch(on, app, who, terms, until()).run(most);
        } catch (const postgres_error& failed) {
            const bool too_much = failed.next() == remedy::retry_later && most > 1;
            if (failed.next() != remedy::report && !too_much) throw;
        } catch (const std::invalid_argument& unreadable) { // the state of a record
            runtime::log::error("record_unreadable",
                                {{"app", app}, {"user", who.user}, {"reason", unreadable.what()}});
        }
    }
    auto done = batch(on, app, who, terms, until()).set_first_aside("refused");
    done.more = true;
    return done;
}

/// The users and apps after `place` that have rows which wait. Rows without a user are set aside.
rows next_waiting(connection& on, const waiting_place& place, taken_up& done, deadline until) {
    transaction asking(on, "", {});
    asking.send(nobodys_statement, {});
    asking.send(waiting_statement, {place.user, place.app, parameter::number(pairs_at_once)});
    auto results = asking.commit(until);
    done.skipped += static_cast<std::size_t>(results.at(0).number(0, 0));
    return std::move(results.at(1));
}

void add(taken_up& all, const taken_up& some) {
    all.rows += some.rows;
    all.skipped += some.skipped;
    all.lost += some.lost;
    all.capped += some.capped;
    all.more = all.more || some.more;
}

} // namespace

std::span<const statement> take_up_statements() {
    static const auto list = [] {
        const auto shared = scope_statements();
        std::vector<statement> all(shared.begin(), shared.end());
        all.insert(all.end(), {waiting_statement, nobodys_statement, read_statement, shown_statement,
                               show_statement, set_aside_statement, no_old_rows_statement});
        return all;
    }();
    return list;
}

taken_up take_up_rows(connection& on, waiting_place& place, const push_terms& terms, const spaces_of& spaces,
                      std::chrono::milliseconds patience, deadline enough) {
    const auto until = [patience] { return std::chrono::steady_clock::now() + patience; };
    taken_up all;
    const auto pairs = next_waiting(on, place, all, until());
    for (int pair = 0; pair < pairs.count(); ++pair) {
        if (pair > 0 && std::chrono::steady_clock::now() >= enough) {
            all.more = true;
            return all;
        }
        place = {std::string(pairs.text(pair, 0)), std::string(pairs.text(pair, 1))};
        reader who{place.user, {}, {}};
        if (terms.spaces_shared) {
            auto known = spaces(place.user);
            if (!known) continue;
            who.spaces = std::move(*known);
        }
        try {
            add(all, take_up_some(on, place.app, who, terms, until));
        } catch (const postgres_error& failed) {
            if (failed.next() != remedy::retry_now) throw;
        }
    }
    if (pairs.count() == pairs_at_once)
        all.more = true;
    else
        place = {};
    return all;
}

void take_up_old_rows(connection& on, const std::string& app, const reader& who, const push_terms& terms,
                      deadline until) {
    constexpr std::chrono::milliseconds least_time{500};
    while (take_up_some(on, app, who, terms, [until] { return until; }).more)
        if (std::chrono::steady_clock::now() + least_time > until)
            throw postgres_error(remedy::retry_later, "PostgreSQL: rows from before are being taken up");
}

} // namespace mana::store
