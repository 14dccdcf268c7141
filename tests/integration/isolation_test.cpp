// Row-level security: a statement whose WHERE is wrong still shows, and takes, no foreign row (SPEC §5).
#include "tests/integration/store_fixture.hpp"

#include <gtest/gtest.h>

namespace mana::tests {
namespace {

constexpr store::statement every_change{"every_change", "select count(*) from sync_changes"};
constexpr store::statement every_record{"every_record", "select count(*) from sync_records"};
constexpr store::statement every_lost_write{"every_lost_write", "select count(*) from sync_lost_writes"};
constexpr store::statement plant{
    "plant", "insert into sync_changes (app_id, table_name, record_id, user_id, op, client_id, scope) "
             "values ('a', 't', 'r', $1, 'update', 'c', $2)"};

std::int64_t count_as(const store::statement& all, const std::string& user) {
    auto on = connect({every_change, every_record, every_lost_write});
    store::transaction asking(on, user, {});
    asking.send(all, std::initializer_list<store::parameter>{});
    return asking.commit(soon())[0].number(0, 0);
}

class isolation : public testing::TestWithParam<store::statement> {};

TEST_P(isolation, a_query_without_where_shows_only_own_rows) {
    auto on = connect();
    const device ann{{fresh("ann"), "a", {}}, "todo"};
    ann.push(
        on, {R"("table":"n","id":"1","op":"update","fields":{"t":{"value":1,"at":"2026-01-02T00:00:00Z"}})"});
    ann.push(
        on, {R"("table":"n","id":"1","op":"update","fields":{"t":{"value":2,"at":"2026-01-01T00:00:00Z"}})"});
    EXPECT_EQ(count_as(GetParam(), ann.who.user), 1);
    EXPECT_EQ(count_as(GetParam(), fresh("eve")), 0);
    EXPECT_EQ(count_as(GetParam(), ""), 0);
}

INSTANTIATE_TEST_SUITE_P(each_table, isolation, testing::Values(every_change, every_record, every_lost_write),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(isolation_of_writes, refuses_a_row_in_anothers_name_or_scope) {
    const auto eve = fresh("eve");
    const auto ann = fresh("ann");
    for (const auto& [user, scope] : {std::pair{ann, "u:" + eve}, std::pair{eve, "u:" + ann}}) {
        auto on = connect({plant});
        store::transaction planting(on, eve, {});
        planting.send(plant, {user, scope});
        EXPECT_THROW(planting.commit(soon()), store::postgres_error);
    }
}

TEST(isolation_of_waiting_rows, shows_them_to_their_user_alone_and_lets_nobody_else_take_them_up) {
    static constexpr store::statement leave_waiting{
        "leave_waiting",
        "insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id) "
        "values ('waiting', 't', 'r', $1, 'update', '[]', 'c')"};
    static constexpr store::statement see_waiting{"see_waiting",
                                                  "select from sync_changes where scope is null"};
    static constexpr store::statement take_all{
        "take_all", "update sync_changes set scope = (select current_scopes())[1] returning id"};
    const auto ann = fresh("ann");
    const auto eve = fresh("eve");
    run_once(connect_as_owner({leave_waiting}), leave_waiting, {ann});
    auto on = connect({see_waiting, take_all});
    for (const auto& [user, rows] : {std::pair{ann, 1}, std::pair{eve, 0}, std::pair{std::string{}, 0}}) {
        store::transaction asking(on, user, {});
        asking.send(see_waiting, {});
        EXPECT_EQ(asking.finish(soon())[0].count(), rows);
    }
    store::transaction taking(on, eve, {});
    taking.send(take_all, {});
    EXPECT_EQ(taking.finish(soon())[0].count(), 0);
}

TEST(isolation_of_waiting_rows, lets_no_row_be_changed_once_it_is_shown) {
    static constexpr store::statement rewrite{
        "rewrite", "update sync_changes set data = '{}' where scope is not null returning id"};
    auto on = connect({rewrite});
    const device ann{{fresh("ann"), "a", {}}, "todo"};
    ann.push(on, {update_of("n", "1", "x", "1")});
    store::transaction rewriting(on, ann.who.user, {});
    rewriting.send(rewrite, {});
    EXPECT_EQ(rewriting.finish(soon())[0].count(), 0);
}

TEST(isolation_of_waiting_rows, refuses_one_in_anothers_name) {
    static constexpr store::statement leave{
        "leave", "insert into sync_changes (app_id, table_name, record_id, user_id, op, client_id) "
                 "values ('a', 't', 'r', $1, 'update', 'c')"};
    auto on = connect({leave});
    store::transaction leaving(on, fresh("eve"), {});
    leaving.send(leave, {fresh("ann")});
    EXPECT_THROW(leaving.commit(soon()), store::postgres_error);
}

TEST(isolation_of_tables, every_table_has_forced_row_level_security_or_a_reason) {
    // sync_migrations: names of migrations, and no right for the service.
    static constexpr store::statement open_tables{
        "open_tables",
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in "
        "('r', 'p') and not (relrowsecurity and relforcerowsecurity) and relname <> 'sync_migrations'"};
    auto on = connect_as_superuser({open_tables});
    on.send(open_tables, {});
    const auto found = on.finish(soon());
    for (int row = 0; row < found[0].count(); ++row) ADD_FAILURE() << found[0].text(row, 0);
}

} // namespace
} // namespace mana::tests
