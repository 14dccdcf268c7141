#include "fcgi_worker/database.hpp"

#include "shared/store/page_reader.hpp"
#include "shared/store/push_transaction.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace mana::fcgi_worker {
namespace {

using store::postgres_error;
using store::remedy;
using store::statement;

constexpr std::chrono::milliseconds shortest_pause{250};

constexpr statement role_statement{"role", R"(
select rolname, rolsuper or rolbypassrls from pg_roles where rolname = current_user)"};

std::vector<statement> statements() {
    std::vector<statement> all;
    for (const auto part : {store::transaction_statements(), store::push_statements(),
                            store::page_statements(), std::span<const statement>{&role_statement, 1}})
        all.insert(all.end(), part.begin(), part.end());
    return all;
}

} // namespace

database::database(store::postgres_settings settings) : settings_{std::move(settings)} {}

void database::connect(store::deadline until) {
    const auto began = clock::now();
    if (began < closed_until_)
        throw postgres_error{remedy::retry_later, "PostgreSQL: could not connect a moment ago"};
    if (began >= until) throw postgres_error{remedy::retry_later, "PostgreSQL: no time left to connect"};
    try {
        open();
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

void database::open() {
    held_.reset(); // before the new one is made: a worker never has two
    held_.emplace(settings_, statements());
    check_role();
}

void database::check_role() {
    held_->send(role_statement, {});
    const auto results = held_->finish(clock::now() + settings_.connect_timeout);
    const auto& role = results.front();
    if (role.count() == 1 && !role.boolean(0, 1)) return;
    const std::string name{role.count() == 1 ? role.text(0, 0) : "?"};
    throw postgres_error{remedy::report,
                         "role " + name +
                             " is a superuser or has BYPASSRLS, so row-level security would not "
                             "hold; put a role without both into DATABASE_URL"};
}

} // namespace mana::fcgi_worker
