#include "shared/store/standby.hpp"

#include <array>

namespace mana::store {

namespace {

// What the role's commits ask for is the session's value: this transaction, of nobody, has another one.
constexpr statement look_statement{"look_at_standby", R"(
select current_setting('synchronous_standby_names') <> ''
           and (select reset_val from pg_settings where name = 'synchronous_commit') <> 'local',
       not exists (select from pg_stat_get_wal_senders()),
       (select coalesce(max(extract(epoch from clock_timestamp() - state_change)) * 1000, 0)::bigint
        from pg_stat_activity where wait_event = 'SyncRep'))"};

// $1 milliseconds.
constexpr statement end_statement{"end_forgotten_waits", R"(
select count(pg_cancel_backend(pid)) from pg_stat_activity
where wait_event = 'SyncRep' and usename = current_user and application_name like 'mana-sync%'
  and state_change < clock_timestamp() - $1::bigint * interval '1 millisecond')"};

} // namespace

std::span<const statement> standby_statements() {
    static constexpr std::array list{look_statement, end_statement};
    return list;
}

standby_state look_at_standby(connection& on, deadline until) {
    transaction looking(on, "", {});
    looking.send(look_statement, {});
    const auto found = looking.commit_repeatable(until);
    return {found.at(0).boolean(0, 0), found[0].boolean(0, 1),
            std::chrono::milliseconds{found[0].number(0, 2)}};
}

void end_forgotten_waits(connection& on, std::chrono::milliseconds older_than, deadline until) {
    transaction ending(on, "", {});
    ending.send(end_statement, {parameter::number(older_than.count())});
    ending.commit_repeatable(until);
}

} // namespace mana::store
