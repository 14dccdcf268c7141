#include "admin/postgres_access.hpp"

#include "shared/gate/from_settings.hpp"

#include <stdexcept>
#include <utility>

namespace mana::admin {
namespace {

using namespace std::chrono_literals;

constexpr auto answers_within = 3s;

// A role that may become the owner of the tables owns them as well.
constexpr store::statement role_statement{"admin_role", R"(
select rolname, rolsuper, rolbypassrls,
       exists (select from pg_class where relowner = role.oid)
           or exists (select from pg_class where oid = to_regclass('sync_changes')
                      and pg_has_role(role.oid, relowner, 'member')),
       coalesce((select pg_has_role(role.oid, service.oid, 'member')
                 from pg_roles as service where service.rolname = 'mana_sync_service'), false)
from pg_roles as role where rolname = current_user)"};

} // namespace

store::connection connect(const runtime::configuration& settings) {
    auto with = gate::postgres_of(settings, "mana-sync-admin");
    with.prepared = false;
    return store::connection{with, {}};
}

store::connection connect_bound(const runtime::configuration& settings) {
    auto on = connect(settings);
    const auto role = role_of(on);
    if (!role.bound())
        throw std::runtime_error{
            "role " + role.name +
            " is a superuser, has BYPASSRLS or owns the tables, so it would show more than the "
            "user may see; put the service's role into DATABASE_URL"};
    return on;
}

store::deadline from_now(std::chrono::milliseconds patience) {
    return std::chrono::steady_clock::now() + patience;
}

store::rows ask(store::connection& on, const store::statement& what,
                std::initializer_list<store::parameter> parameters) {
    store::transaction asking{on, "", {}};
    asking.send(what, parameters);
    auto results = asking.commit_repeatable(from_now(answers_within));
    return std::move(results.at(0));
}

role_facts role_of(store::connection& on) {
    const auto found = ask(on, role_statement);
    role_facts role;
    if (found.count() == 0) return role;
    role.name = found.text(0, 0);
    role.superuser = found.boolean(0, 1);
    role.bypasses = found.boolean(0, 2);
    role.owns = found.boolean(0, 3);
    role.member = found.boolean(0, 4);
    return role;
}

} // namespace mana::admin
