#include "shared/store/database.hpp"

#include "shared/store/encoding.hpp"

#include <algorithm>
#include <string>

namespace mana::store {
namespace {

constexpr std::chrono::milliseconds shortest_pause{250};

constexpr statement role_statement{"role", R"(
select rolname, rolsuper or rolbypassrls or exists (
           select from pg_class
           where oid = to_regclass('sync_changes') and pg_has_role(current_user, relowner, 'member')),
       current_setting('server_encoding')
from pg_roles where rolname = current_user)"};

} // namespace

database::database(postgres_settings settings, std::initializer_list<std::span<const statement>> statements)
    : settings_{std::move(settings)} {
    const auto append = [this](std::span<const statement> list) {
        statements_.insert(statements_.end(), list.begin(), list.end());
    };
    append(transaction_statements());
    append({&role_statement, 1});
    for (const auto list : statements) append(list);
}

void database::connect(deadline until) {
    const auto began = clock::now();
    if (began < closed_until_)
        throw postgres_error{remedy::retry_later, "PostgreSQL: could not connect a moment ago"};
    if (began >= until) throw postgres_error{remedy::retry_later, "PostgreSQL: no time left to connect"};
    try {
        open(until);
    } catch (const postgres_error& failed) {
        held_.reset();
        // One that is frozen, not gone, costs the whole time-out: then requests wait for it half of the time.
        const auto ended = clock::now();
        closed_until_ = ended + std::max<clock::duration>(shortest_pause, ended - began);
        if (const auto suppressed = failures_.admit(ended))
            runtime::log::error("database_unavailable",
                                {{"reason", failed.what()}, {"suppressed", *suppressed}});
        throw postgres_error{remedy::retry_later, failed.what()};
    }
}

void database::open(deadline until) {
    held_.reset(); // before the new one is made: there are never two
    auto settings = settings_;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now());
    settings.connect_timeout = std::min(settings.connect_timeout, left);
    held_.emplace(settings, statements_);
    check_role(until);
}

void database::check_role(deadline until) {
    held_->send(role_statement, {});
    const auto results = held_->finish(std::min(until, clock::now() + settings_.connect_timeout));
    const auto& role = results.front();
    const auto fault = role.count() == 1 ? fault_of_encoding(role.text(0, 2)) : std::string{};
    if (!fault.empty()) throw postgres_error{remedy::report, fault};
    if (role.count() == 1 && !role.boolean(0, 1)) return;
    const std::string name{role.count() == 1 ? role.text(0, 0) : "?"};
    throw postgres_error{remedy::report,
                         "role " + name +
                             " is a superuser, has BYPASSRLS or owns the tables, so row-level security "
                             "would not hold; put another role into DATABASE_URL"};
}

} // namespace mana::store
