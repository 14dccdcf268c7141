// The push transaction against the real PostgreSQL: what lands, what does not, and who can see it.
#include "shared/sync/held_rows.hpp"
#include "tests/integration/store_fixture.hpp"

#include <cstdlib>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <vector>

namespace mana::tests {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using store::connection;

device a_device(const std::string& user = fresh("user"), const std::string& client = "a") {
    return {{user, client, {}}, "todo"};
}

device another_device_of(const device& first) {
    return {{first.who.user, "b", first.who.spaces}, first.app};
}

TEST(push_transaction, brings_a_change_to_the_users_other_device) {
    auto on = connect();
    const auto a = a_device();
    const auto b = another_device_of(a);
    a.push(on, {R"("table":"notes","id":"1","op":"insert","data":{"id":"1","title":"x"})"});

    const auto page = b.pull(on, "notes", "");

    ASSERT_EQ(page.server_changes.size(), 1U);
    EXPECT_EQ(changes_in(page)[0].heading.record_id, "1");
    const auto fields = changes_in(page)[0].fields;
    ASSERT_EQ(fields.size(), 1U);
    EXPECT_EQ(fields[0].name, "title");
    EXPECT_FALSE(page.has_more);
}

TEST(push_transaction, leaves_own_changes_out_once_the_client_has_a_cursor) {
    auto on = connect();
    const auto a = a_device();
    const auto first = a.push(on, {update_of("notes", "1", "title", R"("x")")});
    const auto cursor = to_text(first.answer.synced_until);
    a.push(on, {update_of("notes", "2", "title", R"("y")")}, cursor);

    EXPECT_EQ(a.pull(on, "notes", cursor).server_changes.size(), 0U);
    EXPECT_EQ(another_device_of(a).pull(on, "notes", cursor).server_changes.size(), 1U);
}

TEST(connection, knows_whether_its_session_is_shared_and_plans_by_its_own_settings_either_way) {
    static constexpr store::statement how{
        "how", "select current_setting('plan_cache_mode'), "
               "current_setting('enable_seqscan'), current_setting('lock_timeout')"};
    auto on = connect({how});
    const char* const prepared = std::getenv("PREPARED_STATEMENTS"); // NOLINT(concurrency-mt-unsafe)
    const bool behind_a_pooler = prepared != nullptr && std::string_view{prepared} == "off";
    EXPECT_EQ(on.shares_session(), behind_a_pooler);
    store::transaction asking(on, "ann", {});
    asking.send(how, {});
    const auto settings = asking.commit(soon());
    EXPECT_EQ(settings[0].text(0, 0), "force_generic_plan");
    EXPECT_EQ(settings[0].text(0, 1), "off");
    EXPECT_EQ(settings[0].text(0, 2), "800ms");
}

TEST(push_transaction, tells_an_author_who_is_up_to_date_nothing_and_one_who_is_behind_all) {
    auto on = connect();
    const auto a = a_device();
    const auto b = another_device_of(a);
    auto cursor = to_text(a.push(on, {update_of("n", "1", "x", "1")}).answer.synced_until);
    for (int i = 0; i < 3; ++i) {
        const auto done = a.push(on, {update_of("n", "more" + std::to_string(i), "x", "1")}, cursor);
        EXPECT_TRUE(done.answer.server_changes.empty());
        EXPECT_EQ(done.answer.synced_until.at, done.committed.scopes.at(0).newest);
        cursor = to_text(done.answer.synced_until);
    }
    b.push(on, {update_of("n", "2", "x", "1")}, cursor);
    const auto done = a.push(on, {update_of("n", "last", "x", "1")}, cursor);
    ASSERT_EQ(done.answer.server_changes.size(), 1U);
    EXPECT_EQ(changes_in(done.answer)[0].heading.record_id, "2");
    EXPECT_EQ(done.answer.synced_until.at, done.committed.scopes.at(0).newest);
}

TEST(push_transaction, that_loses_its_connection_after_its_commit_is_not_run_again_here) {
    static constexpr store::statement my_backend{"my_backend", "select pg_backend_pid()"};
    static constexpr store::statement end_backend{"end_backend",
                                                  "select pg_terminate_backend($1::int, 5000)"};
    auto on = connect({my_backend});
    if (on.shares_session()) GTEST_SKIP() << "a pooler would lend it another backend";
    auto ann = a_device();
    make_member(ann.who, {fresh("space")}); // reads more than one scope, so its page comes after the commit
    const auto delete_of_it = R"({"changes":[{"table":"n","id":"1","op":"delete"}]})";
    const auto push = sync::parse_push(delete_of_it, ann.who.client, {});
    store::push_terms terms;
    terms.spaces_shared = true;
    const auto break_the_connection = [&](const store::committed_push&) {
        store::transaction asking(on, ann.who.user, {});
        asking.send(my_backend, {});
        const auto backend = std::string(asking.commit(soon())[0].text(0, 0));
        run_once(connect_as_superuser({end_backend}), end_backend, {backend});
    };
    try {
        store::run_push(on, ann.app, ann.who, *push, terms, break_the_connection, soon());
        FAIL() << "the page was read without a connection";
    } catch (const store::postgres_error& failed) {
        EXPECT_EQ(failed.next(), store::remedy::retry_later) << failed.what();
    }
    EXPECT_EQ(log_of({sync::scope_of_user(ann.who.user)}, ann.app).size(), 1U);
}

TEST(transaction, that_is_not_answered_in_time_leaves_nothing_at_work_in_postgresql) {
    static constexpr store::statement takes_long{"takes_long",
                                                 "select pg_sleep(4)"}; // not yet statement_timeout
    static constexpr store::statement at_work{
        "at_work", "select count(*) from pg_stat_activity where application_name = $1 and state <> 'idle'"};
    auto on = connect({takes_long});
    on.work_for(fresh("impatient"));
    store::transaction asking(on, "ann", {});
    asking.send(takes_long, {});
    EXPECT_THROW(asking.finish(std::chrono::steady_clock::now() + std::chrono::milliseconds{300}),
                 store::postgres_error);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    const auto left = [&] {
        return run_once(connect_as_superuser({at_work}), at_work, {on.application()}).number(0, 0);
    };
    while (left() > 0 && std::chrono::steady_clock::now() < until) {
    }
    EXPECT_EQ(left(), 0) << "for two seconds after it was given up";
}

TEST(transaction, names_its_request_to_postgresql) {
    static constexpr store::statement who_asks{"who_asks", "select current_setting('application_name')"};
    auto on = connect({who_asks});
    const auto application = [&] {
        store::transaction asking(on, "ann", {});
        asking.send(who_asks, {});
        return std::string(asking.commit(soon())[0].text(0, 0));
    };
    on.work_for("4f3a");
    EXPECT_EQ(application(), "mana-sync-test 4f3a");
    on.work_for("");
    EXPECT_EQ(application(), "mana-sync-test");
}

// A snapshot from before the locks would skip rows; a commit that is not yet written could be seen, and lost
// by a crash.
TEST(transaction, keeps_the_promises_whatever_the_database_has_as_default) {
    static constexpr store::statement ask{"ask", "select current_setting('transaction_isolation'),"
                                                 "       current_setting('synchronous_commit')"};
    const auto held_to = [](const std::string& isolation, const std::string& commit) {
        auto on = connect_as_superuser({ask}, "&options=-c%20default_transaction_isolation%3D" + isolation +
                                                  "%20-c%20synchronous_commit%3D" + commit);
        store::transaction asking(on, "ann", {});
        asking.send(ask, {});
        const auto found = asking.commit(soon());
        return std::string(found[0].text(0, 0)).append(", ").append(found[0].text(0, 1));
    };
    EXPECT_EQ(held_to("serializable", "off"), "read committed, on");
    EXPECT_EQ(held_to("serializable", "remote_apply"), "read committed, remote_apply");
}

// Its host lost its power, or the network: PostgreSQL hears nothing of it, not even that it has gone.
TEST(push_transaction, waits_a_few_seconds_at_most_for_a_writer_that_vanished) {
    static constexpr store::statement lock{
        "lock",
        "select pg_advisory_xact_lock(scope_lock('todo', 'u:' || current_setting('app.current_user_id')))"};
    const auto a = a_device();
    auto vanished = connect({lock});
    store::transaction holding{vanished, a.who.user, {}};
    holding.send(lock, {});
    holding.finish(soon());
    auto on = connect();

    const auto stored = a.push(on, {update_of("notes", "1", "title", R"("x")")}).committed.stored;

    EXPECT_EQ(stored, 1U);
    // Should it be there again, it begins anew.
    try {
        holding.send(lock, {});
        holding.finish(soon());
        FAIL() << "its transaction goes on";
    } catch (const store::postgres_error& lost) {
        EXPECT_EQ(lost.next(), store::remedy::reconnect) << lost.what();
    }
}

TEST(push_transaction, retried_adds_no_row) {
    auto on = connect();
    const auto a = a_device();
    const auto change = update_of("notes", "1", "title", R"("x")");
    EXPECT_EQ(a.push(on, {change}).committed.stored, 1U);
    EXPECT_EQ(a.push(on, {change}).committed.stored, 0U);
}

TEST(push_transaction, tells_and_keeps_what_lost) {
    auto on = connect();
    const auto a = a_device();
    a.push(on,
           {R"("table":"n","id":"1","op":"update","fields":{"t":{"value":1,"at":"2026-01-02T00:00:00Z"}})"});
    const auto late = another_device_of(a).push(
        on, {R"("table":"n","id":"1","op":"update","fields":{"t":{"value":2,"at":"2026-01-01T00:00:00Z"}})"});

    ASSERT_EQ(late.answer.conflicts.size(), 1U);
    EXPECT_EQ(late.answer.conflicts[0].server_value.value().text, "1");

    static constexpr store::statement kept{
        "kept", "select value, claimed_at, reason from sync_lost_writes where scope = $1"};
    auto all_seeing = connect_as_superuser({kept});
    const std::array<store::parameter, 1> scope{"u:" + a.who.user};
    all_seeing.send(kept, scope);
    const auto found = all_seeing.finish(soon());
    ASSERT_EQ(found[0].count(), 1);
    EXPECT_EQ(found[0].text(0, 0), "2");
    EXPECT_EQ(found[0].text(0, 1), "2026-01-01T00:00:00.000Z");
    EXPECT_EQ(found[0].text(0, 2), "older");
}

TEST(push_transaction, keeps_numbers_and_odd_names_as_they_came) {
    auto on = connect();
    const auto a = a_device();
    const std::string data =
        R"({"big":9007199254740993,"small":1e-300,"empty":"","__proto__":{"x":1},"quo\"te":"😀","list":[1.50,null,true]})";
    a.push(on, {R"("table":"n","id":"1","op":"insert","data":)" + data});

    const auto page = another_device_of(a).pull(on, "n", "");

    ASSERT_EQ(page.server_changes.size(), 1U);
    const auto expected = sync::parse_json(data, 100);
    const auto fields = changes_in(page)[0].fields;
    for (const auto& field : fields) {
        const auto* sent = find_member(*expected->as_object(), field.name);
        ASSERT_NE(sent, nullptr) << field.name;
        EXPECT_TRUE(same(*sent, field.value)) << field.name;
    }
    EXPECT_EQ(fields.size(), expected->as_object()->size());
}

TEST(push_transaction, lands_the_rest_when_one_change_is_refused) {
    auto on = connect();
    const auto a = a_device();
    const auto done = a.push(on, {R"("table":"n","id":"bad","op":"insert","data":{"x":"\u0000"})",
                                  R"("table":"n\u0000","id":"worse","op":"insert","data":{"x":1})",
                                  R"("table":"n","id":"good","op":"insert","data":{"x":1})"});
    ASSERT_EQ(done.answer.rejected.size(), 2U);
    EXPECT_EQ(done.answer.rejected[0].code, "nul_character");
    EXPECT_EQ(another_device_of(a).pull(on, "n", "").server_changes.size(), 1U);
}

TEST(push_transaction, of_200_changes_takes_two_round_trips_and_keeps_their_order) {
    auto on = connect();
    const auto a = a_device();
    std::vector<std::string> changes;
    for (int i = 0; i < 200; ++i)
        changes.push_back(update_of("n", std::to_string(i), "x", std::to_string(i)));
    a.push(on, changes);
    const auto page = another_device_of(a).pull(on, "n", "");
    const auto shown = changes_in(page);
    ASSERT_EQ(shown.size(), 200U);
    for (int i = 0; i < 200; ++i)
        EXPECT_EQ(shown[static_cast<std::size_t>(i)].heading.record_id, std::to_string(i));
}

TEST(page, is_cut_by_rows_and_goes_on_where_it_was_cut) {
    auto on = connect();
    const auto a = a_device();
    const auto b = another_device_of(a);
    std::vector<std::string> changes;
    for (int i = 0; i < 25; ++i) changes.push_back(update_of("n", std::to_string(i), "x", "1"));
    a.push(on, changes);
    std::string since;
    std::size_t seen = 0;
    for (int pages = 1;; ++pages) {
        const auto page = b.pull(on, "n", since, 10);
        seen += page.server_changes.size();
        since = to_text(page.synced_until);
        if (page.has_more) continue;
        EXPECT_EQ(pages, 3);
        break;
    }
    EXPECT_EQ(seen, 25U);
}

TEST(page, is_cut_by_bytes_but_always_brings_one_row) {
    auto on = connect();
    const auto a = a_device();
    const std::string large = '"' + std::string(3'000'000, 'x') + '"';
    for (int i = 0; i < 4; ++i) a.push(on, {update_of("n", std::to_string(i), "x", large)});
    const auto page = another_device_of(a).pull(on, "n", "");
    EXPECT_EQ(page.server_changes.size(), 2U);
    EXPECT_TRUE(page.has_more);
}

TEST(page, brings_own_rows_on_every_page_to_a_client_that_began_at_the_epoch) {
    auto on = connect();
    const auto a = a_device();
    std::vector<std::string> changes;
    for (int i = 0; i < 5; ++i) changes.push_back(update_of("n", std::to_string(i), "x", "1"));
    a.push(on, changes);
    const auto first = a.pull(on, "n", "", 3);
    const auto second = a.pull(on, "n", to_text(first.synced_until), 3);
    EXPECT_EQ(first.server_changes.size(), 3U);
    EXPECT_EQ(second.server_changes.size(), 2U);
}

TEST(page, moves_the_cursor_over_own_rows_and_other_tables) {
    auto on = connect();
    const auto a = a_device();
    const auto done = a.push(on, {update_of("other", "1", "x", "1")}, "2026-01-01T00:00:00.000000Z");
    ASSERT_EQ(done.committed.scopes.size(), 1U);
    EXPECT_EQ(done.answer.synced_until.at, done.committed.scopes[0].newest);
    EXPECT_EQ(a.pull(on, "n", "2026-01-01T00:00:00.000000Z").synced_until.at,
              done.committed.scopes[0].newest);
}

TEST(page, takes_a_cursor_beyond_the_newest_position_for_the_newest) {
    auto on = connect();
    const auto a = a_device();
    const auto page = a.pull(on, "n", "2200-01-01T00:00:00.000000Z");
    EXPECT_LT(page.synced_until.at, std::chrono::system_clock::now() + std::chrono::hours{1});
}

/// Pages of 25 rows, until nothing is left: the rows' ids as they came.
std::vector<std::string> read_all(connection& on, const device& reader, std::vector<std::string> tables) {
    store::page_request wanted;
    wanted.app = reader.app;
    wanted.tables = std::move(tables);
    wanted.rows = 25;
    wanted.spaces_shared = true;
    std::vector<std::string> seen;
    for (bool more = true; more;) {
        const auto page = store::read_page(on, reader.who, wanted, soon());
        for (const auto& change : changes_in(page)) seen.push_back(change.event_id);
        wanted.since = page.synced_until;
        more = page.has_more;
    }
    return seen;
}

/// Fifteen of every twenty rows lie in the first space, by turns in two tables.
void fill_unevenly(connection& on, const device& writer) {
    for (int push = 0; push < 20; ++push) {
        std::vector<std::string> changes;
        for (int i = 0; i < 20; ++i) {
            const auto other = static_cast<std::size_t>(push + i) % writer.who.spaces.size();
            const auto& space = writer.who.spaces[i < 15 ? 0 : other];
            changes.push_back(update_of(i % 2 == 0 ? "a" : "b", fresh("record"), "x", "1", space));
        }
        writer.push(on, changes);
    }
}

TEST(page, of_many_scopes_goes_on_where_one_has_more_than_its_share) {
    auto on = connect();
    std::vector<std::string> spaces;
    for (int i = 0; i < 12; ++i) spaces.push_back(fresh("space"));
    std::ranges::sort(spaces);
    device ann{{fresh("ann"), "a", {}}, "todo"};
    device bob{{fresh("bob"), "b", {}}, "todo"};
    make_member(ann.who, spaces);
    make_member(bob.who, spaces);
    read_all(on, bob, {}); // before anything is there: who joins later is shown copies
    fill_unevenly(on, ann);

    const auto log = log_of(store::subscriptions_of(bob.who), "todo");
    ASSERT_EQ(log.size(), 400U);
    EXPECT_EQ(read_all(on, bob, {}), log);
    EXPECT_EQ(read_all(on, bob, {"a", "b"}), log);
}

// What replaces an insert is shown to the client that inserted with a later time (SPEC §3 rule 5).

TEST(insert_holds, keep_the_inserters_cursor_until_they_are_settled) {
    static constexpr store::statement let_them_pass{"let_them_pass", R"(
update sync_changes
set held = (select jsonb_agg(hold || '{"until":"2020-01-01T00:00:00.000Z"}') from jsonb_array_elements(held) as hold)
where user_id = $1 and held is not null returning id)"};
    auto on = connect();
    const auto user = fresh("user");
    const device inserter{{user, "inserter", {}}, "todo"};
    const device other{{user, "other", {}}, "todo"};
    const device third{{user, "third", {}}, "todo"};
    inserter.push(on, {R"("table":"n","id":"1","op":"insert","data":{"x":1})"});
    const auto since = sync::to_text(inserter.pull(on, "n", "").synced_until);
    const auto a_second_ago = std::chrono::floor<milliseconds>(std::chrono::system_clock::now()) - 1s;
    other.push(on, {R"("table":"n","id":"1","op":"update","fields":{"x":{"value":2,"at":")" +
                    sync::to_text(a_second_ago) + "\"}}"});
    const auto shown_at = [](const sync::answer& page) { return changes_in(page).at(0).fields.at(0).at; };

    EXPECT_EQ(shown_at(third.pull(on, "n", since)), a_second_ago);
    EXPECT_FALSE(third.pull(on, "n", since).synced_until.shown_until);
    auto page = inserter.pull(on, "n", since);
    EXPECT_GT(shown_at(page), a_second_ago) << "its insert may bear a later time there";
    EXPECT_LE(shown_at(page), a_second_ago + 5s);
    ASSERT_TRUE(page.synced_until.shown_until);
    EXPECT_FALSE(page.synced_until.due_since);

    third.push(on, {update_of("n", "2", "x", "1")});
    page = inserter.pull(on, "n", sync::to_text(page.synced_until));
    EXPECT_EQ(page.server_changes.size(), 2U) << "the row once more, and what is new";
    EXPECT_EQ(run_once(connect_as_superuser({let_them_pass}), let_them_pass, {user}).count(), 1);
    page = inserter.pull(on, "n", sync::to_text(page.synced_until));
    EXPECT_EQ(page.server_changes.size(), 1U) << "what was shown meanwhile is not shown again";
    ASSERT_TRUE(page.synced_until.due_since);
    auto later = page.synced_until;
    later.due_since = (*later.due_since + 24h - sync::time_to_push - 1s) % 24h;
    page = inserter.pull(on, "n", sync::to_text(later));
    EXPECT_GT(shown_at(page), a_second_ago + 50s) << "beyond all that an unknown clock may show";
    EXPECT_FALSE(page.synced_until.shown_until);
    EXPECT_TRUE(inserter.pull(on, "n", sync::to_text(page.synced_until)).server_changes.empty());
}

TEST(spaces, are_read_and_written_by_members_and_by_no_one_else) {
    auto on = connect();
    const auto space = fresh("space");
    const device ann{{fresh("ann"), "a", {space}}, "todo"};
    const device bob{{fresh("bob"), "b", {space}}, "todo"};
    const device eve{{fresh("eve"), "e", {}}, "todo"};
    bob.pull(on, "n", ""); // before anything is there: who joins later is shown copies
    ann.push(on, {update_of("n", "1", "x", "1", space), update_of("n", "private", "x", "1")});

    EXPECT_EQ(bob.pull(on, "n", "").server_changes.size(), 1U);
    EXPECT_EQ(eve.pull(on, "n", "").server_changes.size(), 0U);
    const auto refused = eve.push(on, {update_of("n", "1", "x", "2", space)});
    ASSERT_EQ(refused.answer.rejected.size(), 1U);
    EXPECT_EQ(refused.answer.rejected[0].code, "not_a_member");
    EXPECT_EQ(bob.pull(on, "n", "").server_changes.size(), 1U);
    const device eves_other{{eve.who.user, "other", {}}, "todo"};
    EXPECT_EQ(eves_other.pull(on, "n", "").server_changes.size(), 1U)
        << "it is kept for its author's devices";
}

TEST(spaces, keep_a_records_home_whatever_a_later_change_names) {
    auto on = connect();
    const auto space = fresh("space");
    const device ann{{fresh("ann"), "a", {space}}, "todo"};
    const device bob{{fresh("bob"), "b", {space}}, "todo"};
    ann.push(on, {update_of("n", "1", "x", "1", space)});
    bob.push(on, {update_of("n", "1", "x", "2")}); // names no space; the record lives in one
    EXPECT_EQ(ann.pull(on, "n", "").server_changes.size(), 2U);
}

} // namespace
} // namespace mana::tests
