#include "shared/store/postgres.hpp"

#include "shared/sync/cursor.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <poll.h>
#include <utility>

namespace mana::store {

namespace {

// Each statement has a snapshot of its own: what follows a lock must see what its last holder committed.
constexpr statement begin_statement{"begin", "begin isolation level read committed"};
// In a session that is shared, default_transaction_read_only may be on, and can be overruled here alone.
constexpr statement begin_shared_statement{"begin_shared",
                                           "begin isolation level read committed, read write"};
constexpr statement commit_statement{"commit", "commit"};
constexpr statement rollback_statement{"rollback", "rollback"};

// A worker whose host lost its power or its network leaves a transaction behind, and with it the locks of its
// scopes: without a limit PostgreSQL would notice after hours. Less than a push waits for a lock, with all
// its tries, so that whoever waits for a vanished one is still served.
constexpr std::chrono::milliseconds longest_silence{3'000};

// Settings that are the same for every transaction. A session that is ours alone is told once; one that is
// shared through a pooler is told in each transaction, for that transaction. $1: statement_timeout, $2:
// lock_timeout, $3: longest_silence, $4: whether for the transaction only. Planning is steered towards index
// walks: every statement of ours looks up few rows by key, and a plan made while a table was small must not
// become a scan of it.
//
// The rest would change the meaning of what is sent and read, where a role, a database, a pooler or the
// environment (PGOPTIONS) have another default. docs/session-settings.md has all settings of PostgreSQL, and
// says of each why it stands here or need not.
constexpr statement common_settings_statement{"common_settings", R"(
select pg_catalog.set_config(name, value, $4::pg_catalog.bool)
from (values ('statement_timeout', $1), ('lock_timeout', $2), ('idle_in_transaction_session_timeout', $3),
             ('tcp_user_timeout', $3), ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
             ('client_encoding', 'UTF8'), ('standard_conforming_strings', 'on'), ('array_nulls', 'on'),
             ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'), ('timezone', 'UTC'),
             ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('xmloption', 'content'),
             ('search_path', 'public, pg_temp'), ('row_security', 'on'), ('client_min_messages', 'warning'),
             ('default_transaction_read_only', 'off'), ('default_transaction_isolation', 'read committed'),
             ('transform_null_equals', 'off'), ('exit_on_error', 'off'),
             ('plpgsql.extra_errors', 'none'), ('plpgsql.extra_warnings', 'none'),
             ('enable_seqscan', 'off'), ('enable_bitmapscan', 'off'), ('enable_sort', 'off'),
             ('enable_incremental_sort', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
             ('enable_indexscan', 'on'), ('enable_indexonlyscan', 'on'), ('enable_nestloop', 'on'),
             ('from_collapse_limit', '8'), ('join_collapse_limit', '8'), ('geqo', 'off'),
             ('max_parallel_workers_per_gather', '0'), ('jit', 'off'), ('plan_cache_mode', 'force_generic_plan'))
     as wanted(name, value)
where name <> 'transaction_timeout' or pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 170000)"};

// Local to the transaction: who asks, and for which request. A push is acknowledged, and seen, once it is
// written: an asynchronous commit could be lost by a crash, and its positions given out again. $4: whether a
// synchronous standby need not have it (durability::here).
constexpr statement settings_statement{"settings", R"(
select set_config('app.current_user_id', $1, true),
       set_config('app.current_user_space_ids', ($2::text[])::text, true),
       set_config('application_name', $3, true),
       case when $4::boolean then set_config('synchronous_commit', 'local', true)
            when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end)"};

// Through a pooler the process that the client was told of is not the one that answers.
constexpr statement backend_statement{"backend", "select pg_catalog.pg_backend_pid()"};

void append_big_endian(std::string& out, std::int32_t value) {
    const auto bits = static_cast<std::uint32_t>(value);
    for (const int shift : {24, 16, 8, 0}) out += static_cast<char>((bits >> shift) & 0xFFU);
}

/// libpq's message may span lines; the first says what happened. Later lines may quote a statement's values.
std::string first_line(const char* message) {
    const std::string_view text = message != nullptr ? message : "";
    return std::string(text.substr(0, text.find('\n')));
}

/// Nothing is printed, as notices may quote values. `standby_skipped` is a bool: the name of PostgreSQL's
/// function is the same in all languages.
void take_notice(void* standby_skipped, const PGresult* notice) {
    const char* const function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
    if (function != nullptr && std::string_view{function} == "SyncRepWaitForLSN")
        *static_cast<bool*>(standby_skipped) = true;
}

remedy remedy_of(std::string_view sqlstate) {
    if (sqlstate == "55P03" || sqlstate == "40P01" || sqlstate == "40001") return remedy::retry_now;
    if (sqlstate == "57014") return remedy::retry_later;        // statement_timeout
    if (sqlstate.starts_with("53")) return remedy::retry_later; // out of disk, memory or connections
    const bool gone = sqlstate.empty() || sqlstate.starts_with("08") || sqlstate.starts_with("57P") ||
                      sqlstate == "25P03" || // longest_silence
                      sqlstate == "25006" || // read-only: the old primary, after a failover
                      sqlstate == "0A000";   // the same, where the transaction began as one that writes
    return gone ? remedy::reconnect : remedy::report;
}

std::string describe(const PGresult* result) {
    const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    return "PostgreSQL: " + first_line(primary != nullptr ? primary : PQresultErrorMessage(result)) +
           (code != nullptr ? " (" + std::string(code) + ")" : "");
}

std::string milliseconds_text(std::chrono::milliseconds time) {
    return std::to_string(time.count());
}

} // namespace

// ---- parameters and rows ----

parameter parameter::timestamp(sync::position at) {
    return {sync::to_text(sync::cursor{at, false})};
}

parameter parameter::array(std::span<const std::optional<std::string>> items) {
    constexpr std::int32_t text_oid = 25;
    constexpr std::int32_t null_length = -1;
    std::string bytes;
    std::size_t size = 32;
    for (const auto& item : items) size += sizeof(std::int32_t) + (item ? item->size() : 0);
    bytes.reserve(size);
    append_big_endian(bytes, items.empty() ? 0 : 1); // dimensions
    append_big_endian(bytes, 1);                     // there may be nulls
    append_big_endian(bytes, text_oid);
    if (!items.empty()) {
        append_big_endian(bytes, static_cast<std::int32_t>(items.size()));
        append_big_endian(bytes, 1); // the first index
    }
    for (const auto& item : items) {
        append_big_endian(bytes, item ? static_cast<std::int32_t>(item->size()) : null_length);
        if (item) bytes += *item;
    }
    parameter made{std::nullopt};
    made.bytes_ = std::move(bytes);
    made.binary_ = true;
    return made;
}

parameter parameter::array(std::span<const std::string> items) {
    const std::vector<std::optional<std::string>> copies(items.begin(), items.end());
    return array(copies);
}

void columns::add(row values) {
    columns_.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) columns_[i].push_back(std::move(values[i]));
}

std::vector<parameter> columns::after(std::initializer_list<parameter> first) const {
    std::vector<parameter> all(first);
    for (const auto& column : columns_) all.push_back(parameter::array(column));
    return all;
}

std::vector<parameter> columns::only_row_after(std::initializer_list<parameter> first) const {
    std::vector<parameter> all(first);
    for (const auto& column : columns_)
        all.push_back(column.front() ? parameter(*column.front()) : parameter(std::nullopt));
    return all;
}

void rows::clear_result::operator()(pg_result* result) const {
    PQclear(result);
}

rows::rows(pg_result* owned) : held_(owned) {}

int rows::count() const {
    return PQntuples(held_.get());
}

std::string_view rows::text(int row, int column) const {
    return {PQgetvalue(held_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(held_.get(), row, column))};
}

std::int64_t rows::number(int row, int column) const {
    std::int64_t value = 0;
    const auto digits = text(row, column);
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

sync::position rows::position(int row, int column) const {
    return sync::position{std::chrono::microseconds{number(row, column)}};
}

bool rows::boolean(int row, int column) const {
    return text(row, column) == "t";
}

bool rows::is_null(int row, int column) const {
    return PQgetisnull(held_.get(), row, column) != 0;
}

// ---- connection ----

connection::connection(const postgres_settings& settings, std::span<const statement> statements)
    : settings_(settings), application_(settings.application) {
    connect();
    // What the others mean can depend on the settings already when they are prepared.
    constexpr std::array of_settings{backend_statement, common_settings_statement};
    if (settings_.prepared) prepare(of_settings);
    keep_settings();
    std::vector<statement> others;
    const auto is_other = [&](const statement& each) {
        return std::ranges::find(of_settings, std::string_view{each.name}, &statement::name) ==
               of_settings.end();
    };
    std::ranges::copy_if(statements, std::back_inserter(others), is_other);
    if (settings_.prepared) prepare(others);
}

void connection::work_for(std::string_view request_id) {
    application_ = settings_.application;
    if (!request_id.empty()) application_.append(" ").append(request_id);
}

void connection::lose(const std::string& why) {
    usable_ = false;
    conn_.reset();
    throw postgres_error(remedy::reconnect, "PostgreSQL: " + why);
}

/// PostgreSQL is not left at work for somebody who is gone.
void connection::give_up() {
    if (usable_) abandon(std::move(conn_));
    lose("no answer in time");
}

void connection::connect() {
    const deadline until = std::chrono::steady_clock::now() + settings_.connect_timeout;
    // What the url says comes later, and holds; but for the encoding, which what we send has.
    const auto silence = milliseconds_text(longest_silence);
    const std::array keys{"fallback_application_name", "tcp_user_timeout", "dbname", "client_encoding",
                          static_cast<const char*>(nullptr)};
    const std::array values{settings_.application.c_str(), silence.c_str(), settings_.url.c_str(), "UTF8",
                            static_cast<const char*>(nullptr)};
    conn_.reset(PQconnectStartParams(keys.data(), values.data(), 1)); // 1: dbname may be a whole url
    if (!conn_ || PQstatus(conn_.get()) == CONNECTION_BAD)
        lose("cannot connect: " + first_line(conn_ ? PQerrorMessage(conn_.get()) : "out of memory"));
    PQsetNoticeReceiver(conn_.get(), take_notice, standby_skipped_.get());
    for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK; next = PQconnectPoll(conn_.get())) {
        if (next == PGRES_POLLING_FAILED) lose("cannot connect: " + first_line(PQerrorMessage(conn_.get())));
        wait(next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until);
    }
    if (PQsetnonblocking(conn_.get(), 1) != 0 || PQenterPipelineMode(conn_.get()) != 1)
        lose("cannot pipeline: " + first_line(PQerrorMessage(conn_.get())));
    usable_ = true;
}

void connection::prepare(std::span<const statement> statements) {
    for (const auto& [name, sql] : statements) {
        if (PQsendPrepare(conn_.get(), name, sql, 0, nullptr) != 1)
            lose(first_line(PQerrorMessage(conn_.get())));
        ++open_segment_;
    }
    finish(std::chrono::steady_clock::now() + settings_.connect_timeout);
}

/// What stays the same is told to a session once, where it is one of our own.
void connection::keep_settings() {
    const deadline until = std::chrono::steady_clock::now() + settings_.connect_timeout;
    send(backend_statement, {});
    const auto backend = finish(until);
    shared_session_ = backend.at(0).number(0, 0) != PQbackendPID(conn_.get());
    if (shared_session_) return;
    send_common_settings(false);
    finish(until);
}

void connection::send_common_settings(bool of_transaction) {
    const std::array parameters{parameter(milliseconds_text(settings_.statement_timeout)),
                                parameter(milliseconds_text(settings_.lock_timeout)),
                                parameter(milliseconds_text(longest_silence)),
                                parameter::boolean(of_transaction)};
    send(common_settings_statement, parameters);
}

void connection::wait(short events, deadline until) {
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) give_up();
        pollfd watched{PQsocket(conn_.get()), events, 0};
        const int ready = ::poll(&watched, 1, static_cast<int>(left.count()));
        if (ready > 0) return;
        if (ready < 0 && errno != EINTR) lose("cannot wait for the connection");
    }
}

void connection::send(const statement& what, std::span<const parameter> parameters) {
    if (!usable_) throw postgres_error(remedy::reconnect, "PostgreSQL: not connected");
    std::vector<const char*> values;
    std::vector<int> lengths;
    std::vector<int> formats;
    for (const auto& given : parameters) {
        values.push_back(given.bytes() ? given.bytes()->c_str() : nullptr);
        lengths.push_back(given.bytes() ? static_cast<int>(given.bytes()->size()) : 0);
        formats.push_back(given.binary() ? 1 : 0);
    }
    const int count = static_cast<int>(values.size());
    const int sent = settings_.prepared ? PQsendQueryPrepared(conn_.get(), what.name, count, values.data(),
                                                              lengths.data(), formats.data(), 0)
                                        : PQsendQueryParams(conn_.get(), what.sql, count, nullptr,
                                                            values.data(), lengths.data(), formats.data(), 0);
    if (sent != 1) lose(first_line(PQerrorMessage(conn_.get())));
    ++open_segment_;
}

void connection::end_segment() {
    if (!usable_) throw postgres_error(remedy::reconnect, "PostgreSQL: not connected");
    if (PQpipelineSync(conn_.get()) != 1) lose(first_line(PQerrorMessage(conn_.get())));
    segments_.push_back(std::exchange(open_segment_, 0));
}

void connection::flush(deadline until) {
    for (;;) {
        const int left = PQflush(conn_.get());
        if (left == 0) return;
        if (left < 0) lose(first_line(PQerrorMessage(conn_.get())));
        // Read while writing: a server that waits for us to read would otherwise never read on.
        wait(POLLIN | POLLOUT, until);
        if (PQconsumeInput(conn_.get()) != 1) lose(first_line(PQerrorMessage(conn_.get())));
    }
}

pg_result* connection::next_result(deadline until) {
    while (PQisBusy(conn_.get()) == 1) {
        wait(POLLIN, until);
        if (PQconsumeInput(conn_.get()) != 1) lose(first_line(PQerrorMessage(conn_.get())));
    }
    return PQgetResult(conn_.get());
}

std::vector<rows> connection::read_segment(deadline until, std::optional<postgres_error>& failure) {
    std::vector<rows> results;
    const auto statements = segments_.front();
    segments_.pop_front();
    for (std::size_t left = statements; left > 0; --left) {
        pg_result* const result = next_result(until);
        if (result == nullptr) lose(first_line(PQerrorMessage(conn_.get())));
        rows held(result);
        if (PQresultStatus(result) == PGRES_FATAL_ERROR && !failure) {
            const char* code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
            failure.emplace(remedy_of(code != nullptr ? code : ""), describe(result));
        }
        if (PQstatus(conn_.get()) == CONNECTION_BAD)
            lose(failure ? std::string(failure->what()) : first_line(PQerrorMessage(conn_.get())));
        results.push_back(std::move(held));
        while (pg_result* const more = next_result(until)) PQclear(more);
    }
    const rows end_of_segment(next_result(until));
    return results;
}

std::vector<rows> connection::finish(deadline until) {
    if (open_segment_ > 0) end_segment();
    if (!usable_) throw postgres_error(remedy::reconnect, "PostgreSQL: not connected");
    if (segments_.empty()) return {};
    flush(until);
    std::optional<postgres_error> failure;
    auto results = read_segment(until, failure);
    if (!failure && std::exchange(*standby_skipped_, false))
        failure.emplace(remedy::in_doubt, "PostgreSQL: committed without the synchronous standby");
    if (!failure) return results;
    while (!segments_.empty()) read_segment(until, failure);
    if (failure->next() == remedy::reconnect) usable_ = false;
    throw postgres_error(*failure);
}

// ---- transaction ----

std::span<const statement> transaction_statements() {
    static constexpr std::array list{begin_statement,    begin_shared_statement, common_settings_statement,
                                     settings_statement, backend_statement,      commit_statement,
                                     rollback_statement};
    return list;
}

transaction::transaction(connection& on, std::string_view user, std::span<const std::string> spaces,
                         durability wanted)
    : on_(on), own_statements_(on.shares_session() ? 3 : 2) {
    send(on_.shares_session() ? begin_shared_statement : begin_statement, {});
    if (on_.shares_session()) on_.send_common_settings(true);
    const bool here = user.empty() || wanted == durability::here;
    send(settings_statement, {user, parameter::array(spaces), on_.application(), parameter::boolean(here)});
}

transaction::~transaction() {
    if (!open_ || !on_.usable()) return;
    try {
        send(rollback_statement, {});
        on_.finish(std::chrono::steady_clock::now() + std::chrono::seconds{1});
    } catch (const postgres_error&) { // NOLINT(bugprone-empty-catch): the connection is dropped by what threw
    }
}

std::vector<rows> transaction::finish(deadline until) {
    auto results = on_.finish(until);
    const auto own = static_cast<std::ptrdiff_t>(std::exchange(own_statements_, 0));
    results.erase(results.begin(), results.begin() + own);
    return results;
}

void transaction::send_commit() {
    if (!on_.usable()) throw postgres_error(remedy::reconnect, "PostgreSQL: not connected");
    try {
        send(commit_statement, {});
        on_.end_segment();
    } catch (const postgres_error& failed) { // PostgreSQL commits as soon as it has read COMMIT itself
        throw postgres_error(remedy::in_doubt, failed.what() + std::string(", COMMIT was under way"));
    }
}

std::vector<rows> transaction::committed(deadline until) {
    open_ = false; // whatever comes, there is nothing left that a rollback could undo
    try {
        auto results = finish(until);
        results.pop_back();
        return results;
    } catch (const postgres_error& failed) {
        if (failed.next() == remedy::reconnect)
            throw postgres_error(remedy::in_doubt, failed.what() + std::string(", COMMIT was under way"));
        if (failed.next() == remedy::in_doubt) throw;
        open_ = true; // an earlier statement failed: the transaction is there, and broken
        throw;
    }
}

std::vector<rows> transaction::commit(deadline until) {
    send_commit();
    return committed(until);
}

std::vector<rows> transaction::commit_repeatable(deadline until) {
    try {
        return commit(until);
    } catch (const postgres_error& failed) {
        if (failed.next() != remedy::in_doubt) throw;
        throw postgres_error{remedy::reconnect, failed.what()};
    }
}

} // namespace mana::store
