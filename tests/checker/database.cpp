#include "tests/checker/database.hpp"

#include "shared/sync/change.hpp"
#include "tests/history/device.hpp"

#include <algorithm>
#include <libpq-fe.h>
#include <stdexcept>

namespace mana::checker {

namespace {

constexpr auto states_of_app = R"(
    select record_id, scope, data, 'tombstone ' || coalesce(tombstone::text, 'none') || ', ' || meta::text
    from sync_records where app_id = $1 order by record_id, scope)";

constexpr auto log_of_app = R"(
    select coalesce(origin, ''), record_id, op, coalesce(scope, ''),
           to_char(created_at at time zone 'UTC', 'HH24:MI:SS.US ') || coalesce(origin, client_id) || ' ' || op || ' ' ||
           coalesce(data::text, '') || ' shown ' || coalesce(field_meta::text, '')
    from sync_changes
    where app_id = $1 and set_aside is null and coalesce(scope, '') not like 'm:%' order by created_at)";

constexpr auto cut_all = R"(
    select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1 || '%')";

constexpr auto count_all = R"(
    select count(*) from pg_stat_activity where application_name like $1 || '%')";

/// The fields as a client puts them together: what lies inside an object after the object.
sync::json_value assembled(const sync::json_value& fields) {
    if (fields.as_object() == nullptr || fields.as_object()->empty()) return {};
    auto members = *fields.as_object();
    std::ranges::stable_sort(members, {}, [](const auto& member) { return sync::path_depth(member.key); });
    sync::json_value record = sync::json_object{};
    for (const auto& member : members) history::set_path(record, member.key, member.value);
    return history::plain(record);
}

} // namespace

void database::finish_connection::operator()(pg_conn* conn) const {
    PQfinish(conn);
}
void database::clear_result::operator()(pg_result* result) const {
    PQclear(result);
}

database::database(const std::string& url) : conn_(PQconnectdb(url.c_str())) {
    if (PQstatus(conn_.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(conn_.get()));
    // What it says besides its answers, at its end for instance, belongs into no report.
    PQsetNoticeProcessor(
        conn_.get(), [](void* /*none*/, const char* /*message*/) {}, nullptr);
    command("set row_security = on"); // a run may have other defaults
}

database::result database::ask(const char* sql, const std::string& parameter) {
    const char* const values[] = {parameter.c_str()};
    result found{PQexecParams(conn_.get(), sql, 1, nullptr, values, nullptr, nullptr, 0)};
    if (PQresultStatus(found.get()) != PGRES_TUPLES_OK) throw std::runtime_error(PQerrorMessage(conn_.get()));
    return found;
}

std::multimap<std::string, database::state> database::states(const std::string& app) {
    const auto found = ask(states_of_app, app);
    std::multimap<std::string, state> states;
    for (int row = 0; row < PQntuples(found.get()); ++row) {
        const auto text = [&](int column) { return std::string(PQgetvalue(found.get(), row, column)); };
        states.emplace(text(0), state{text(1), assembled(sync::parse_stored_json(text(2))),
                                      text(1) + ' ' + text(2) + ' ' + text(3)});
    }
    return states;
}

std::vector<database::log_row> database::log(const std::string& app) {
    const auto found = ask(log_of_app, app);
    std::vector<log_row> rows;
    for (int row = 0; row < PQntuples(found.get()); ++row) {
        const auto text = [&](int column) { return std::string(PQgetvalue(found.get(), row, column)); };
        rows.push_back({text(0), text(1), text(2), text(3), text(4)});
    }
    return rows;
}

void database::cut_connections(const std::string& application) {
    ask(cut_all, application);
}

void database::end_segment() {
    ask("select pg_switch_wal() where $1 = ''", "");
}

void database::command(const char* sql) {
    const result done{PQexec(conn_.get(), sql)};
    const auto status = PQresultStatus(done.get());
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        throw std::runtime_error(PQerrorMessage(conn_.get()));
}

void database::let_holds_pass() {
    command(R"(
begin read write; -- whatever sessions have as default
update public.sync_changes
set held = (select jsonb_agg(hold || '{"until":"2020-01-01T00:00:00.000Z"}') from jsonb_array_elements(held) as hold)
where held is not null;
commit)");
}

void database::await_a_standby(bool wanted) {
    command(wanted ? "alter system set synchronous_standby_names = 'nobody'"
                   : "alter system reset synchronous_standby_names");
    command("select pg_reload_conf()");
}

std::size_t database::count_connections(const std::string& application) {
    const auto found = ask(count_all, application);
    return std::stoul(PQgetvalue(found.get(), 0, 0));
}

bool database::redis_has_all() {
    const auto found = ask("select oldest_unpublished() = 0 where $1 = ''", "");
    return std::string_view{PQgetvalue(found.get(), 0, 0)} == "t";
}

std::chrono::sys_seconds database::wall_clock() {
    const auto found = ask("select extract(epoch from clock_timestamp())::bigint where $1 = ''", "");
    return std::chrono::sys_seconds{std::chrono::seconds{std::stoll(PQgetvalue(found.get(), 0, 0))}};
}

} // namespace mana::checker
