// status: how much there is, how far Redis was told, who is connected. A part that is down takes its own
// lines only.
#include "admin/hub_health.hpp"
#include "admin/migrations.hpp"
#include "admin/output.hpp"
#include "admin/postgres_access.hpp"
#include "admin/redis_access.hpp"
#include "admin/subcommands.hpp"
#include "shared/store/notification.hpp"
#include "shared/store/push_log.hpp"

#include <chrono>
#include <exception>
#include <iostream>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;

constexpr int counted_up_to = 10'000;

constexpr store::statement sizes_statement{"sizes",
                                           "select what, how_many, estimated from table_sizes($1::int)"};
constexpr store::statement pushes_statement{"pushes",
                                            "select users, pushes from pushes_within(interval '1 hour')"};

void line(std::string_view what, std::string_view is) {
    constexpr std::size_t width = 20;
    std::string padded{what};
    padded.resize(std::max(width, padded.size()), ' ');
    std::cout << padded << is << '\n';
}

std::string_view in_words(std::string_view table) {
    if (table == "sync_changes") return "rows of the log";
    if (table == "sync_records") return "records";
    return "lost writes";
}

void print_migrations(store::connection& on, const std::string& sql_dir) {
    const auto state = migrations_of(on, sql_dir);
    line("migrations", std::to_string(state.applied) + " applied, the newest " + state.newest +
                           (state.missing.empty() ? "" : "; not applied: " + joined(state.missing)));
}

void print_sizes(store::connection& on) {
    const auto sizes = ask(on, sizes_statement, {store::parameter::number(counted_up_to)});
    for (int row = 0; row < sizes.count(); ++row)
        line(in_words(sizes.text(row, 0)),
             (sizes.boolean(row, 2) ? "about " : "") + std::string{sizes.text(row, 1)});
    const auto pushes = ask(on, pushes_statement);
    line("last hour", count_of(pushes.number(0, 1), "push", "pushes") + " of " +
                          count_of(pushes.number(0, 0), "user", "users"));
}

void print_unpublished(store::connection& on) {
    const auto oldest = store::oldest_untold(on, 3s).longest();
    line("Redis was told", oldest.count() == 0
                               ? std::string{"of all pushes"}
                               : "of all pushes but those of the last " + admin::in_words(oldest));
}

void print_hub(const runtime::configuration& settings) {
    const auto health = health_of_hub(settings.hub_socket);
    if (!health) throw std::runtime_error{health.error()};
    line("hub", count_of(health->connections, "connection", "connections") + " of " +
                    count_of(health->users, "user", "users"));
}

void print_last_push(const runtime::configuration& settings) {
    const auto on = connect_to_redis(settings.redis_url);
    const auto newest = ask(*on, {"XREVRANGE", store::stream_name, "+", "-", "COUNT", "1"});
    if (newest->elements == 0) return line("last push", "none in the stream of Redis");
    const redisReply& fields = *newest->element[0]->element[1];
    const auto told = store::parse_notification(fields.elements == 2 ? text_of(*fields.element[1]) : "");
    line("last push", told ? told->cursor + ", app " + printable(told->app) : "unreadable: " + told.error());
}

// False: the part is down, and its line says so.
template<class Part>
bool print_part(std::string_view what, Part part) {
    try {
        part();
        return true;
    } catch (const std::exception& failed) {
        line(what, failed.what());
        return false;
    }
}

} // namespace

int run_status(const settings_source& source, const std::string& sql_dir) {
    const auto settings = source.load();
    bool all = print_part("postgresql", [&] {
        auto on = connect(settings);
        const bool migrated = print_part("migrations", [&] { print_migrations(on, sql_dir); });
        const bool sized = print_part("rows", [&] { print_sizes(on); });
        const bool told = print_part("Redis was told", [&] { print_unpublished(on); });
        if (!(migrated && sized && told)) throw std::runtime_error{"not all of it could be read"};
    });
    all = print_part("hub", [&] { print_hub(settings); }) && all;
    all = print_part("last push", [&] { print_last_push(settings); }) && all;
    return all ? 0 : 1;
}

} // namespace mana::admin
