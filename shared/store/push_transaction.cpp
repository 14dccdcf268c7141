#include "shared/store/push_transaction.hpp"

#include "shared/store/notification.hpp"
#include "shared/store/page_reader.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/store/take_up.hpp"
#include "shared/store/text_array.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace mana::store {

namespace {

// $1 app, $2 written scopes, $3 author, $4 the author's cursor. See sql/0011_cost.sql; sync_old_rows only
// ever loses rows, so a look from before the locks can find too much there and not too little.
constexpr statement begin_push_statement{"begin_push", R"(
select (extract(epoch from receipt) * 1000)::bigint, (extract(epoch from newest) * 1000000)::bigint, up_to_date, spaces,
       exists (select from sync_old_rows
               where user_id = (select current_setting('app.current_user_id', true)) and app_id = $1)
from begin_push($1, $2, $3, $4::timestamptz))"};

// $1 app, $2 user, $3 client, $4 how many; then one array a column of the rows, and of what is announced:
// each scope's rows in sync_pushes, where those find them who were not told. Positions are taken as late as
// can be, one after the other in the order of the rows.
constexpr std::string_view write_log_sql = R"(
with clock as materialized (select take_positions($4::int) as first),
logged as (
    insert into sync_changes (app_id, user_id, client_id, created_at, id, scope, table_name, record_id, op, data,
                              field_meta, schema_version, actor, origin, space_id, told, bytes, held)
    select $1, $2, $3, clock.first + (place - 1) * interval '1 microsecond', change.id::uuid, scope, table_name,
           record_id, op, data::jsonb, field_meta::jsonb, schema_version::int, actor::jsonb, origin, space_id,
           told::boolean, bytes::int, held::jsonb
    from clock, <rows>
), announced as (
    insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest)
    select scope, $1, $2, $3, array(select jsonb_array_elements_text(tables::jsonb)), changes::int,
           clock.first + last_place::int * interval '1 microsecond'
    from clock, <announced>
)
select (extract(epoch from first) * 1000000)::bigint from clock)";
constexpr std::string_view many_rows = R"(
         unnest($5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
                $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[]) with ordinality
             as change(id, scope, table_name, record_id, op, data, field_meta, schema_version, actor, origin, space_id,
                       told, bytes, held, place))";
constexpr std::string_view many_announced = R"(
         unnest($19::text[], $20::text[], $21::text[], $22::text[]) as pushed(scope, tables, changes, last_place))";

// Most pushes have one row: its columns come as they are, and PostgreSQL takes no arrays apart.
constexpr std::string_view one_row = R"(
         (select $5::text as id, $6::text as scope, $7::text as table_name, $8::text as record_id, $9::text as op,
                 $10::text as data, $11::text as field_meta, $12::text as schema_version, $13::text as actor,
                 $14::text as origin, $15::text as space_id, $16::text as told, $17::text as bytes, $18::text as held,
                 1 as place)
             as change)";
constexpr std::string_view one_announced = R"(
         (select $19::text as scope, $20::text as tables, $21::text as changes, $22::text as last_place) as pushed)";

std::string write_log_of(std::string_view rows, std::string_view announced) {
    constexpr std::string_view place_of_rows = "<rows>";
    constexpr std::string_view place_of_announced = "<announced>";
    std::string sql{write_log_sql};
    sql.replace(sql.find(place_of_rows), place_of_rows.size(), rows);
    sql.replace(sql.find(place_of_announced), place_of_announced.size(), announced);
    return sql;
}

const statement& write_log_of_many() {
    static const std::string sql = write_log_of(many_rows, many_announced);
    static const statement made{"write_log", sql.c_str()};
    return made;
}

const statement& write_log_of_one() {
    static const std::string sql = write_log_of(one_row, one_announced);
    static const statement made{"write_log_of_one", sql.c_str()};
    return made;
}

// A push that changes nothing is acknowledged for what an earlier one stored; and that one may have given up
// waiting for a synchronous standby, which lacks it. A commit waits for the standby, up to its own place in
// the write-ahead log, if it wrote anything: this writes a record there, and no row.
constexpr statement reach_standby_statement{"reach_standby", R"(
select case when current_setting('synchronous_standby_names') <> ''
            then pg_logical_emit_message(true, 'mana-sync', '')::text end)"};

/// A version 7 uuid: its time first, so that new keys gather at one end of the index.
std::string time_ordered_uuid(sync::instant now, boost::uuids::random_generator& random) {
    auto id = random();
    const auto millis = static_cast<std::uint64_t>(now.time_since_epoch().count());
    for (std::size_t i = 0; i < 6; ++i) id.data[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
    id.data[6] = static_cast<std::uint8_t>((id.data[6] & 0x0FU) | 0x70U);
    return to_string(id);
}

page_request page_wanted(const std::string& app, const sync::push_request& push, const push_terms& terms) {
    page_request wanted;
    wanted.app = app;
    wanted.since = push.since;
    wanted.rows = terms.page_rows;
    wanted.bytes = terms.page_bytes;
    wanted.spaces_shared = terms.spaces_shared;
    wanted.spaces_known = terms.spaces_known;
    wanted.remembered = terms.remembered;
    return wanted;
}

/// The spaces of the author's page. Copies of those that are new may take a part of the time only: the push
/// itself is not to wait for them.
std::optional<shown_spaces> spaces_of_author(connection& on, const std::string& app, const reader& who,
                                             const sync::push_request& push, const push_terms& terms,
                                             deadline until) {
    const auto now = std::chrono::steady_clock::now();
    return spaces_of_page(on, who, page_wanted(app, push, terms), now + (until - now) / 2);
}

/// What a push learns as it locks the scopes that it writes.
struct push_beginning {
    sync::instant receipt;      ///< by the database's clock
    sync::position newest;      ///< every position that is taken after this is later
    bool up_to_date = false;    ///< the author's cursor has all of the own scope
    std::string spaces;         ///< the version of what the author is shown of spaces
    bool old_rows_wait = false; ///< rows of the author from before the migrations, see take_up.hpp
};

push_beginning beginning_in(const rows& begun) {
    return {sync::instant{std::chrono::milliseconds{begun.number(0, 0)}}, begun.position(0, 1),
            begun.boolean(0, 2), std::string(begun.text(0, 3)), begun.boolean(0, 4)};
}

/// What a push wrote into one scope, and where its last row there stands among all of its rows.
struct announced_scope {
    committed_scope committed;
    std::size_t last_place = 0;
};

std::vector<announced_scope> announcement_of(const std::vector<sync::log_row>& written) {
    std::map<std::string_view, announced_scope> by_scope;
    for (std::size_t place = 0; place < written.size(); ++place) {
        const auto& row = written[place];
        auto& [committed, last_place] = by_scope[row.scope];
        last_place = place;
        ++committed.count;
        committed.tables.push_back(row.heading.table);
    }
    std::vector<announced_scope> all;
    for (auto& [scope, announced] : by_scope) {
        auto& tables = announced.committed.tables;
        std::ranges::sort(tables);
        tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
        shorten(tables);
        announced.committed.scope = scope;
        all.push_back(std::move(announced));
    }
    return all;
}

/// What an attempt at a push needs to be done before it.
struct preparation {
    std::set<std::string> written; ///< scopes to lock
    bool old_rows = false;         ///< rows from before the migrations are to be taken up
};

/// One attempt at a push.
class push_attempt {
  public:
    push_attempt(connection& on, const std::string& app, const reader& who, const sync::push_request& push,
                 const push_terms& terms, const std::optional<shown_spaces>& shown, deadline until)
        : on_(on), app_(app), who_(who), author_{who.user, push.client_id, who.spaces}, push_(push),
          terms_(terms), shown_(shown), wanted_(page_wanted(app, push, terms)), until_(until),
          in_(on, who.user, who.spaces) {}

    /// Nothing where it met what must come first: `first` says what, and it is to be tried again.
    std::optional<sync::answer> run(preparation& first, const on_commit& told) {
        read_states(first.written);
        first.old_rows = begun_.old_rows_wait;
        if (first.old_rows) return std::nullopt;
        sync::writer author{who_.user, push_.client_id, std::nullopt};
        if (terms_.spaces_shared) author.spaces = who_.spaces;
        if (names_another_home(author, first.written)) return std::nullopt;
        merged_ = sync::merge_push(push_.changes, author,
                                   {.receipt = begun_.receipt,
                                    .max_clock_skew = terms_.max_clock_skew,
                                    .author_clock = push_.author_clock,
                                    .since = push_.since},
                                   records_);
        said_.emplace(push_.changes, author, begun_.receipt, records_, merged_.repairs);
        wanted_.said = &*said_;
        wanted_.by_slow_clock = sync::is_slow_clock(push_.author_clock, begun_.receipt);
        keep_rejected();
        write_log();
        send_touched_records(in_, app_, who_.user, records_);
        send_lost_writes(in_, app_, who_.user, push_.client_id, merged_.lost, terms_.lost_writes_days);
        in_.send_commit();
        auto answer = commit_and_read_page(told);
        complete(answer);
        return answer;
    }

  private:
    connection& on_;
    const std::string& app_;
    const reader& who_;
    const reader author_;
    const sync::push_request& push_;
    const push_terms& terms_;
    const std::optional<shown_spaces>& shown_;
    page_request wanted_;
    const deadline until_;
    transaction in_;
    push_beginning begun_;
    sync::record_map records_;
    sync::merge_outcome merged_;
    std::optional<sync::said_once> said_;
    std::string last_row_; ///< event id; empty: nothing was written to the log
    std::vector<announced_scope> announced_;
    pushed_rows pushed_;
    bool committed_ = false;

    void read_states(const std::set<std::string>& written) {
        record_names named;
        for (const auto& change : push_.changes)
            named.emplace(change.heading.table, change.heading.record_id);
        const std::vector<std::string> locked(written.begin(), written.end());
        in_.send(begin_push_statement,
                 {app_, parameter::array(locked), who_.user, parameter::timestamp(push_.since.at)});
        send_records(in_, app_, who_, named);
        const auto results = in_.finish(until_);
        begun_ = beginning_in(results[0]);
        pushed_.newest_before = begun_.newest;
        records_ = records_in(results[1], who_.user);
    }

    [[nodiscard]] bool names_another_home(const sync::writer& author, std::set<std::string>& written) const {
        bool found = false;
        for (const auto& change : push_.changes)
            found = written.insert(sync::home_of(change, author, records_)).second || found;
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

    void write_log() {
        if (merged_.rows.empty()) {
            in_.send(reach_standby_statement, {});
            return;
        }
        boost::uuids::random_generator random;
        columns log;
        for (const auto& row : merged_.rows) {
            auto stored = to_stored(row);
            const auto& heading = row.heading;
            last_row_ = time_ordered_uuid(begun_.receipt, random);
            log.add({last_row_, row.scope, heading.table, heading.record_id,
                     std::string(sync::to_text(row.op)), std::move(stored.data), std::move(stored.field_meta),
                     std::to_string(heading.schema_version),
                     heading.actor ? std::optional(sync::to_json_text(*heading.actor)) : std::nullopt,
                     text_or_null(heading.origin), text_or_null(heading.space), row.told ? "t" : "f",
                     std::move(stored.bytes), std::move(stored.held)});
        }
        announced_ = announcement_of(merged_.rows);
        send_log(log, announced_columns());
    }

    void send_log(const columns& log, const columns& announced) {
        const auto count = parameter::number(static_cast<std::int64_t>(log.rows()));
        const bool one = log.rows() == 1;
        auto parameters = one ? log.only_row_after({app_, who_.user, push_.client_id, count})
                              : log.after({app_, who_.user, push_.client_id, count});
        std::ranges::move(one ? announced.only_row_after({}) : announced.after({}),
                          std::back_inserter(parameters));
        in_.send(one ? write_log_of_one() : write_log_of_many(), parameters);
    }

    /// Where the answer needs a page, and nothing but the own scope is read, its transaction goes after the
    /// push's COMMIT in the same round trip; if it fails, the push stays.
    sync::answer commit_and_read_page(const on_commit& told) {
        pushed_.shown = push_.client_id.empty();
        const bool reads_own_scope_only = !shown_ || (shown_->whole.empty() && shown_->copied.empty());
        const bool spaces_as_known = !shown_ || shown_->version == begun_.spaces;
        const bool one_scope =
            reads_own_scope_only && spaces_as_known && wanted_.spaces_known && !last_row_.empty();
        if (!one_scope) {
            commit(told);
            return read_page_of_committed();
        }
        if (!begun_.up_to_date || pushed_.shown) return commit_with_page(told);
        commit(told);
        sync::answer answer;
        answer.synced_until.at = *pushed_.last;
        answer.has_more = shown_ && shown_->unfinished;
        return answer;
    }

    void commit(const on_commit& told) {
        take_positions(in_.committed(until_));
        committed_ = true;
        told(what_was_committed());
    }

    sync::answer commit_with_page(const on_commit& told) {
        try {
            author_page page(on_, author_, wanted_, begun_.newest);
            page.send(last_row_);
            commit(told);
            auto answer = page.finish(*pushed_.last, until_);
            answer.has_more = answer.has_more || (shown_ && shown_->unfinished);
            return answer;
        } catch (const postgres_error& failed) {
            if (!committed_) throw_in_doubt(failed);
            if (failed.next() != remedy::retry_now) throw_after_commit(failed);
        }
        return read_page_of_committed();
    }

    sync::answer read_page_of_committed() {
        try {
            return read_page(on_, author_, wanted_, pushed_, until_);
        } catch (const postgres_error& failed) {
            throw_after_commit(failed);
        }
    }

    /// COMMIT was sent. Where the connection went before its answer came, it may have happened.
    [[noreturn]] static void throw_in_doubt(const postgres_error& failed) {
        const bool lost = failed.next() == remedy::reconnect;
        throw postgres_error(lost ? remedy::in_doubt : failed.next(), failed.what());
    }

    /// Whatever fails now, nobody here may run the push again, on a new connection neither: a hard delete
    /// would get a second row. Its client sends it again.
    [[noreturn]] static void throw_after_commit(const postgres_error& failed) {
        const bool defect = failed.next() == remedy::report;
        throw postgres_error(defect ? remedy::report : remedy::retry_later, failed.what());
    }

    void take_positions(const std::vector<rows>& results) {
        if (merged_.rows.empty()) return;
        pushed_.first = results.at(0).position(0, 0);
        pushed_.last = *pushed_.first + std::chrono::microseconds{merged_.rows.size() - 1};
    }

    [[nodiscard]] committed_push what_was_committed() {
        committed_push done;
        done.stored = merged_.rows.size();
        done.lost = merged_.fields_lost;
        done.capped = merged_.capped;
        for (auto& announced : announced_) {
            announced.committed.newest = *pushed_.first + std::chrono::microseconds{announced.last_place};
            done.scopes.push_back(std::move(announced.committed));
        }
        return done;
    }

    void complete(sync::answer& answer) {
        std::vector<sync::shown_change> told;
        std::ranges::transform(said_->repairs(std::move(merged_.repairs)), std::back_inserter(told),
                               sync::shown);
        std::ranges::move(answer.server_changes, std::back_inserter(told));
        answer.server_changes = std::move(told);
        answer.conflicts = std::move(merged_.conflicts);
        answer.rejected = push_.rejected;
        std::ranges::move(merged_.rejected, std::back_inserter(answer.rejected));
        std::ranges::sort(answer.rejected, {}, &sync::rejection::index);
    }

    /// What others are told: one row a scope.
    [[nodiscard]] columns announced_columns() const {
        columns pushed;
        for (const auto& [committed, last_place] : announced_)
            pushed.add({committed.scope, texts_as_json(committed.tables), std::to_string(committed.count),
                        std::to_string(last_place)});
        return pushed;
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
    static const auto list = [] {
        const auto shared = take_up_statements();
        std::vector<statement> all(shared.begin(), shared.end());
        all.insert(all.end(),
                   {begin_push_statement, write_log_of_many(), write_log_of_one(), reach_standby_statement});
        return all;
    }();
    return list;
}

sync::answer run_push(connection& on, const std::string& app, const reader& who,
                      const sync::push_request& push, const push_terms& terms, const on_commit& told,
                      deadline until) {
    preparation first{scopes_named(who, push), false};
    const auto shown = spaces_of_author(on, app, who, push, terms, until);
    return with_retries(until, [&] {
        if (first.old_rows && !terms.spaces_known)
            throw postgres_error(remedy::retry_later,
                                 "old rows wait for the author's memberships to be known");
        if (first.old_rows) take_up_old_rows(on, app, who, terms, until);
        auto answer = push_attempt(on, app, who, push, terms, shown, until).run(first, told);
        if (!answer) throw postgres_error(remedy::retry_now, "the push met rows or scopes that come first");
        return std::move(*answer);
    });
}

} // namespace mana::store
