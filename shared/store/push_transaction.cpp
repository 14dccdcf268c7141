#include "shared/store/push_transaction.hpp"

#include "shared/store/page_reader.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/store/take_up.hpp"

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
        : on_(on), app_(app), who_(who), push_(push), terms_(terms), shown_(shown), until_(until),
          in_(on, who.user, who.spaces) {}

    /// Nothing where it met what must come first: `first` says what, and it is to be tried again.
    std::optional<sync::answer> run(preparation& first, const on_commit& told) {
        first.old_rows = !read_states(first.written);
        if (first.old_rows) return std::nullopt;
        sync::writer author{who_.user, push_.client_id, std::nullopt};
        if (terms_.spaces_shared) author.spaces = who_.spaces;
        if (names_another_home(author, first.written)) return std::nullopt;
        merged_ = sync::merge_push(push_.changes, author, {receipt_, terms_.max_clock_skew}, records_);
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
    const sync::push_request& push_;
    const push_terms& terms_;
    const std::optional<shown_spaces>& shown_;
    const deadline until_;
    transaction in_;
    sync::instant receipt_;
    sync::record_map records_;
    sync::merge_outcome merged_;
    page_bound bound_;
    bool committed_ = false;

    /// False where rows from before the migrations wait: the states don't tell of them yet.
    bool read_states(const std::set<std::string>& written) {
        record_names named;
        for (const auto& change : push_.changes)
            named.emplace(change.heading.table, change.heading.record_id);
        send_lock(in_, app_, written);
        send_records(in_, app_, who_, named);
        const auto results = in_.finish(until_);
        const auto locks = locks_in(results[0]);
        receipt_ = locks.receipt;
        bound_.newest_before = locks.newest;
        records_ = records_in(results[1], who_.user);
        return !locks.old_rows_wait;
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

    void write_log() {
        if (merged_.rows.empty()) return;
        boost::uuids::random_generator random;
        columns log;
        for (const auto& row : merged_.rows) {
            auto stored = to_stored(row);
            const auto& heading = row.heading;
            bound_.last_row = time_ordered_uuid(receipt_, random);
            log.add({bound_.last_row, row.scope, heading.table, heading.record_id,
                     std::string(sync::to_text(row.op)), std::move(stored.data), std::move(stored.field_meta),
                     std::to_string(heading.schema_version),
                     heading.actor ? std::optional(sync::to_json_text(*heading.actor)) : std::nullopt,
                     text_or_null(heading.origin), text_or_null(heading.space), row.told ? "t" : "f",
                     std::move(stored.bytes)});
        }
        in_.send(log_statement, log.after({app_, who_.user, push_.client_id,
                                           parameter::number(static_cast<std::int64_t>(log.rows()))}));
    }

    /// The page's transaction goes after the push's COMMIT in the same round trip; if it fails, the push
    /// stays.
    sync::answer commit_and_read_page(const on_commit& told) {
        const reader author{who_.user, push_.client_id, who_.spaces};
        const auto wanted = page_wanted(app_, push_, terms_);
        const std::optional bound{bound_};
        try {
            page_reading reading(on_, author, wanted, shown_, bound);
            reading.send();
            told(what_was_committed(in_.committed(until_)));
            committed_ = true;
            return reading.finish(until_);
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
    static const auto list = [] {
        const auto shared = take_up_statements();
        std::vector<statement> all(shared.begin(), shared.end());
        all.push_back(log_statement);
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
