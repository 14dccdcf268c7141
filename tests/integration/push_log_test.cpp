// The log of pushes: who goes from look to look meets each push exactly once, however late it commits; and
// what Redis did not take is handed over until it does.
#include "shared/store/push_log.hpp"
#include "tests/integration/store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace mana::tests {
namespace {

using store::notification;
using namespace std::chrono_literals;

constexpr auto patience = 5s;
constexpr store::statement announce{"announce", R"(
insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest)
select 'u:' || $1 || suffix, 'todo', $1, 'phone', '{lists,tasks}', 2, clock_timestamp()
from (select case when n = 1 then '' else '-' || n end as suffix from generate_series(1, $2::int) as n) as scopes)"};
constexpr store::statement pause_a_bit{"pause_a_bit", "select pg_sleep(random() * 0.01)"};
constexpr store::statement read_pushes{"read_pushes", "select * from sync_pushes"};

store::connection log_reader() {
    const auto statements = store::push_log_statements();
    return connect({statements.begin(), statements.end()});
}

store::connection announcer() {
    return connect_as_superuser({announce, pause_a_bit});
}

/// The pushes of users whose names begin so, between two looks.
std::vector<notification> between(store::connection& on, const std::string& name, const std::string& seen,
                                  const std::string& look) {
    std::vector<notification> found;
    store::pushes_between(
        on, seen, look,
        [&](const std::vector<notification>& some) {
            for (const auto& push : some)
                if (push.user.starts_with(name)) found.push_back(push);
        },
        patience);
    return found;
}

/// A push that was not committed yet.
class open_push {
  public:
    explicit open_push(const std::string& user, int scopes = 1) : in_(on_, user, {}) {
        in_.send(announce, {user, store::parameter::number(scopes)});
        in_.finish(soon());
    }
    void commit() { in_.commit(soon()); }

  private:
    store::connection on_ = announcer();
    store::transaction in_;
};

TEST(push_log, tells_what_was_pushed) {
    auto on = log_reader();
    const auto before = store::look_now(on, patience);
    const device ann{{fresh("ann"), "phone", {}}, "todo"};
    auto writer = connect();
    const auto done =
        ann.push(writer, {update_of("tasks", "1", "x", "1"), update_of("lists", "1", "x", "1")});
    const auto found = between(on, ann.who.user, before, store::look_now(on, patience));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].scope, "u:" + ann.who.user);
    EXPECT_EQ(found[0].app, "todo");
    EXPECT_EQ(found[0].tables, (std::vector<std::string>{"lists", "tasks"}));
    EXPECT_EQ(found[0].client, "phone");
    EXPECT_EQ(found[0].count, 2U);
    EXPECT_EQ(found[0].cursor, to_text(done.answer.synced_until));
}

TEST(push_log, finds_a_push_that_began_early_and_committed_late) {
    auto on = log_reader();
    const auto name = fresh("user");
    const auto before = store::look_now(on, patience);
    open_push late{name + "-late"};
    open_push{name + "-early"}.commit();
    const auto first_look = store::look_now(on, patience);
    late.commit();
    const auto second_look = store::look_now(on, patience);
    const auto first = between(on, name, before, first_look);
    const auto second = between(on, name, first_look, second_look);
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].user, name + "-early");
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(second[0].user, name + "-late");
}

TEST(push_log, is_read_in_parts_without_losing_one) {
    auto on = log_reader();
    const auto name = fresh("user");
    const auto before = store::look_now(on, patience);
    open_push late{name + "-late", 2'500};
    open_push{name + "-early", 2'500}.commit();
    const auto look = store::look_now(on, patience);
    late.commit();
    EXPECT_EQ(between(on, name, before, look).size(), 2'500U);
    EXPECT_EQ(between(on, name, look, store::look_now(on, patience)).size(), 2'500U);
}

TEST(push_log, shows_each_push_once_to_who_goes_from_look_to_look_while_others_push) {
    auto on = log_reader();
    const auto name = fresh("user");
    const int pushes = number_from("MANA_TEST_PUSHES", 60);
    auto seen = store::look_now(on, patience);
    std::atomic<int> writing = 8;
    std::vector<std::jthread> writers;
    for (int writer = 0; writer < 8; ++writer)
        writers.emplace_back([&, writer] {
            auto own = announcer();
            for (int i = 0; i < pushes; ++i) {
                store::transaction push(own, "", {});
                push.send(announce, {name + "-" + std::to_string(writer) + "-" + std::to_string(i), "1"});
                push.send(pause_a_bit, {});
                push.commit(soon());
            }
            --writing;
        });
    std::map<std::string, int> times;
    for (bool over = false; !over;) {
        over = writing == 0;
        const auto look = store::look_now(on, patience);
        for (const auto& push : between(on, name, seen, look)) ++times[push.user];
        seen = look;
    }
    EXPECT_EQ(times.size(), static_cast<std::size_t>(8 * pushes));
    EXPECT_TRUE(std::ranges::all_of(times, [](const auto& entry) { return entry.second == 1; }));
}

// That what Redis did not take is handed over again is seen from outside, in tests/real_time: the hub of this
// stack would take it from under this test.
TEST(push_log, is_published_by_one_at_a_time) {
    auto on = log_reader();
    auto other = log_reader();
    const auto try_to_publish = [](store::connection& with, const auto& publish) {
        return store::publish_until(with, store::look_now(with, patience), publish, patience);
    };
    bool other_was_let_in = true;
    const auto publish = [&](const std::vector<notification>&) {
        other_was_let_in = try_to_publish(other, [](const auto&) { return true; });
        return true;
    };
    // The hub of this stack has its turns too.
    const auto until = soon();
    while (!try_to_publish(on, publish) && store::deadline::clock::now() < until) continue;
    EXPECT_FALSE(other_was_let_in);
}

TEST(push_log, hides_pushes_from_the_service_itself) {
    auto on = connect({read_pushes});
    store::transaction reading(on, fresh("eve"), {});
    reading.send(read_pushes, {});
    EXPECT_THROW(reading.commit(soon()), store::postgres_error);
}

} // namespace
} // namespace mana::tests
