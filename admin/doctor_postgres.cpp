// doctor: PostgreSQL, and what waits in it.
#include "admin/doctor_checks.hpp"
#include "admin/migrations.hpp"
#include "admin/output.hpp"
#include "admin/postgres_access.hpp"
#include "shared/store/encoding.hpp"
#include "shared/store/push_log.hpp"
#include "shared/store/standby.hpp"
#include "shared/store/text_array.hpp"

#include <chrono>
#include <functional>
#include <optional>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;
using seconds = std::chrono::duration<double>;

constexpr int least_version = 150'000;
constexpr seconds clock_doubtful{1};
constexpr seconds unpublished_doubtful{10}; // hubs look every second
constexpr seconds unpublished_bad{60};
constexpr seconds waiting_doubtful{30};
constexpr seconds waiting_bad{600};
constexpr int rows_looked_at = 100'000;
constexpr unsigned connections_of_hub = 8; // pages of streams, sweep, look-up of users, and some to come anew

constexpr store::statement server_statement{"server", R"(
select current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery(),
       current_setting('server_encoding'))"};

// Names and times of migrations are of no user; all other tables hold what users may see of each other or
// not.
constexpr store::statement tables_statement{"unprotected_tables", R"(
select count(*), to_json(coalesce(array_agg(relname::text order by relname)
                                  filter (where not (relrowsecurity and relforcerowsecurity)), '{}'))
from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and starts_with(relname, 'sync_')
  and relname <> 'sync_migrations')"};

constexpr store::statement clock_statement{
    "clock", "select (extract(epoch from clock_timestamp()) * 1000000)::bigint"};

// Of other roles' connections no more can be seen than that they are there.
constexpr store::statement limits_statement{"limits", R"(
select (select setting::bigint from pg_settings where name = 'deadlock_timeout'),
       current_setting('max_connections')::int,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - (select count(*) from pg_stat_activity
              where datid is not null and usesysid <> (select oid from pg_roles where rolname = current_user)))"};

constexpr store::statement waiting_statement{"waiting", R"(
select waiting, (oldest * 1000)::bigint, from_before from waiting_rows_age($1::int))"};

finding server_of(store::connection& on) {
    const auto found = ask(on, server_statement);
    const std::string version = "PostgreSQL " + std::string{found.text(0, 0)};
    if (found.number(0, 1) < least_version)
        return {verdict::failed, "postgresql", version + " is too old", "upgrade to PostgreSQL 15 or later"};
    if (found.boolean(0, 2))
        return {verdict::failed, "postgresql", version + " is in recovery, and so takes no writes",
                "let DATABASE_URL name the primary, or promote this one"};
    if (const auto fault = store::fault_of_encoding(found.text(0, 3)); !fault.empty())
        return {verdict::failed, "postgresql", fault, "create database … encoding 'UTF8' template template0"};
    return {verdict::ok, "postgresql", version + ", takes writes", {}};
}

finding role_finding(store::connection& on) {
    const auto role = role_of(on);
    std::string wrong;
    const auto add = [&wrong](bool is, std::string_view what) {
        if (is) wrong.append(wrong.empty() ? "" : ", ").append(what);
    };
    add(role.superuser, "is a superuser");
    add(role.bypasses, "has BYPASSRLS");
    add(role.owns, "owns tables");
    add(!role.member, "is no member of mana_sync_service");
    const std::string name = "role " + printable(role.name);
    if (wrong.empty())
        return {verdict::ok, "role", name + " owns nothing, is bound by row-level security", {}};
    return {verdict::failed, "role", name + ' ' + wrong,
            role.bound() ? "as the owner: grant mana_sync_service to " + printable(role.name)
                         : "put a role into DATABASE_URL that owns nothing and bypasses nothing"};
}

finding migrations_finding(store::connection& on, const std::string& sql_dir) {
    const auto state = migrations_of(on, sql_dir);
    const std::string part = "migrations";
    if (!state.missing.empty())
        return {verdict::failed, part, joined(state.missing) + " not applied", "mana-sync-admin migrate"};
    if (!state.unknown.empty())
        return {verdict::warning, part, joined(state.unknown) + " applied, but not in " + sql_dir,
                "upgrade mana-sync here too, another host has a newer one"};
    return {verdict::ok, part, "all " + std::to_string(state.applied) + " are applied", {}};
}

finding tables_finding(store::connection& on) {
    const auto found = ask(on, tables_statement);
    const auto open = store::texts_in(found.text(0, 1));
    if (found.number(0, 0) == 0)
        return {verdict::failed, "row-level security", "there are no tables", "mana-sync-admin migrate"};
    if (open.empty())
        return {verdict::ok,
                "row-level security",
                "on and forced for all " + std::to_string(found.number(0, 0)) + " tables",
                {}};
    return {verdict::failed, "row-level security", "not on, or not forced, for " + joined(open),
            "as the owner, for each: alter table … enable row level security, force row level security"};
}

finding clock_finding(store::connection& on) {
    using clock = std::chrono::system_clock;
    const auto before = clock::now();
    const auto theirs = ask(on, clock_statement).position(0, 0);
    const auto ours = before + (clock::now() - before) / 2;
    const seconds ahead = theirs - ours;
    const std::string off = in_words(ahead) + (ahead > 0s ? " ahead of" : " behind") + " this host";
    if (std::chrono::abs(ahead) <= clock_doubtful) return {verdict::ok, "clock of postgresql", off, {}};
    return {verdict::warning, "clock of postgresql", off,
            "set both by NTP: systemctl status systemd-timesyncd"};
}

finding deadlock_finding(const store::rows& limits, const runtime::configuration& settings) {
    const auto deadlock = std::chrono::milliseconds{limits.number(0, 0)};
    const std::string both = "deadlock_timeout " + std::to_string(deadlock.count()) + " ms, LOCK_TIMEOUT " +
                             std::to_string(settings.lock_timeout.count()) + " ms";
    if (deadlock > settings.lock_timeout) return {verdict::ok, "deadlock_timeout", both, {}};
    return {verdict::warning, "deadlock_timeout", both + ": pushes that wait meet the search for deadlocks",
            "make LOCK_TIMEOUT the smaller one"};
}

finding connections_finding(const store::rows& limits, const runtime::configuration& settings) {
    const auto most = limits.number(0, 1);
    const auto left = limits.number(0, 2);
    const std::int64_t needed = settings.workers + connections_of_hub;
    const std::string what =
        "max_connections " + std::to_string(most) + ", of which " + std::to_string(left) +
        " are not used by other roles; workers and hub of this host take up to " + std::to_string(needed);
    if (left >= needed) return {verdict::ok, "connections", what, {}};
    return {verdict::failed, "connections", what,
            "raise max_connections, lower WORKERS, or put PgBouncer between"};
}

finding standby_finding(store::connection& on) {
    const auto state = store::look_at_standby(on, from_now(3s));
    const std::string part = "synchronous standby";
    if (!state.asked_for) return {verdict::ok, part, "commits wait for none", {}};
    if (!state.missing())
        return {verdict::ok, part, "asked for by synchronous_standby_names, no commit waits", {}};
    return {
        verdict::failed, part,
        state.none_connected
            ? "synchronous_standby_names asks for one, and none is connected: each push waits and fails"
            : "a commit has waited for " + in_words(state.longest_wait) +
                  " for the one of synchronous_standby_names",
        "start that standby, or take it out of synchronous_standby_names (alter system, pg_reload_conf())"};
}

// Told is what both have: Redis may take a push for the one and refuse it for the other.
finding unpublished_finding(store::connection& on) {
    const auto untold = store::oldest_untold(on, 3s);
    const std::string part = "pushes not told";
    if (untold.longest() <= unpublished_doubtful)
        return {verdict::ok, part, "Redis was told of all pushes", {}};
    const auto behind = [](std::string_view who, seconds age) {
        return age <= unpublished_doubtful
                   ? std::string{}
                   : std::string{who} + " not known to have a push of " + in_words(age) + " ago";
    };
    const auto channels = behind("channels of Redis are", untold.channels);
    const auto stream = behind("the stream of Redis is", untold.stream);
    return {untold.longest() > unpublished_bad ? verdict::failed : verdict::warning, part,
            channels + (channels.empty() || stream.empty() ? "" : ", ") + stream,
            "see what Redis refuses, and that a hub runs and reaches PostgreSQL and Redis: "
            "journalctl -u mana-sync-hub -g redis"};
}

finding waiting_finding(store::connection& on) {
    const std::string part = "rows of others";
    const auto found = ask(on, waiting_statement, {store::parameter::number(rows_looked_at)});
    const auto waiting = found.number(0, 0);
    const seconds oldest = std::chrono::milliseconds{found.number(0, 1)};
    const auto from_before = found.number(0, 2);
    std::string what = waiting == 0 ? "none waits to be taken up"
                                    : count_of(waiting, "row waits", "rows wait") +
                                          " to be taken up, the oldest for " + in_words(oldest);
    if (from_before > 0)
        what += "; " + count_of(from_before, "row", "rows") + " from before the migrations too";
    if (waiting + from_before == rows_looked_at) what += " (no more were looked at)";
    if (waiting == 0 || oldest <= waiting_doubtful) return {verdict::ok, part, what, {}};
    return {oldest > waiting_bad ? verdict::failed : verdict::warning, part, what,
            "see that a hub runs, and that memberships can be asked: journalctl -u mana-sync-hub"};
}

// Whether the connection serves on after what was thrown.
finding not_looked_at(std::string part, const std::exception& why) {
    return {verdict::failed, std::move(part), why.what(),
            "apply the migrations (mana-sync-admin migrate), or see the log of PostgreSQL"};
}

class examination {
  public:
    examination(store::connection& on, findings& into) : on_{on}, into_{into} {}

    void look(const std::string& part, const std::function<finding()>& check) {
        if (!on_.usable()) {
            into_.push_back({verdict::skipped, part, "the connection to PostgreSQL was lost", {}});
            return;
        }
        try {
            into_.push_back(check());
        } catch (const std::exception& failed) {
            into_.push_back(not_looked_at(part, failed));
        }
    }

  private:
    store::connection& on_;
    findings& into_;
};

} // namespace

findings check_postgres(const runtime::configuration& settings, const std::string& sql_dir) {
    std::optional<store::connection> on;
    try {
        on.emplace(connect(settings));
    } catch (const store::postgres_error& failed) {
        return {{verdict::failed, "postgresql", failed.what(), "start PostgreSQL, or correct DATABASE_URL"},
                {verdict::skipped,
                 "what is in it",
                 "needs PostgreSQL: role, migrations, row-level security, clock, "
                 "limits, what waits",
                 {}}};
    }
    findings all;
    examination of{*on, all};
    of.look("postgresql", [&] { return server_of(*on); });
    of.look("role", [&] { return role_finding(*on); });
    of.look("migrations", [&] { return migrations_finding(*on, sql_dir); });
    of.look("row-level security", [&] { return tables_finding(*on); });
    of.look("clock of postgresql", [&] { return clock_finding(*on); });
    of.look("deadlock_timeout", [&] { return deadlock_finding(ask(*on, limits_statement), settings); });
    of.look("connections", [&] { return connections_finding(ask(*on, limits_statement), settings); });
    of.look("synchronous standby", [&] { return standby_finding(*on); });
    of.look("pushes not told", [&] { return unpublished_finding(*on); });
    of.look("rows of others", [&] { return waiting_finding(*on); });
    return all;
}

} // namespace mana::admin
