// The log of pushes: who goes from look to look meets each push exactly once, however late it commits; and
// what Redis did not take is handed over until it does.
#include "shared/store/push_log.hpp"
#include "tests/integration/store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
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

/// Tells one push of a name at a time: what comes before it, and is not told, ends at another's xid.
class slow_teller {
  public:
    slow_teller(std::string name, std::string told) : name_(std::move(name)), told_(std::move(told)) {}

    /// False: there is nothing up to `look` that it has not told.
    bool tell_one(const std::string& look) {
        const auto found = run_once(connect_as_superuser({untold}), untold, {told_, look});
        std::vector<int> ours;
        for (int row = 0; row < found.count(); ++row)
            if (found.text(row, 1).starts_with(name_)) ours.push_back(row);
        if (!ours.empty()) ++times_[std::string(found.text(ours[0], 1))];
        const std::string before{ours.size() > 1 ? found.text(ours[1], 0) : "18446744073709551615"};
        told_ = run_once(connect_as_superuser({up_to}), up_to, {told_, look, before}).text(0, 0);
        return !ours.empty();
    }
    [[nodiscard]] const std::map<std::string, int>& times() const { return times_; }

  private:
    static constexpr store::statement untold{"untold", R"(
select xid, user_id from pushes_between($1::pg_snapshot, $2::pg_snapshot, '0', '', 10000))"};
    static constexpr store::statement up_to{"up_to", R"(
select look_up_to($1::pg_snapshot, $2::pg_snapshot, $3::xid8))"};

    const std::string name_;
    std::string told_;
    std::map<std::string, int> times_;
};

TEST(push_log, goes_on_where_one_who_stopped_half_way_was) {
    auto on = log_reader();
    const auto name = fresh("user");
    slow_teller teller{name, store::look_now(on, patience)};
    std::vector<std::unique_ptr<open_push>> pushes;
    for (int i = 0; i < 10; ++i)
        pushes.push_back(std::make_unique<open_push>(name + "-" + std::to_string(i)));
    // Those that began last commit first, and some in between.
    for (const auto i : {9U, 4U, 7U, 0U, 2U, 8U, 1U, 6U, 3U, 5U}) {
        pushes[i]->commit();
        const auto look = store::look_now(on, patience);
        if (i % 2 == 0 && !teller.tell_one(look)) ADD_FAILURE() << i << " is not found";
    }
    const auto look = store::look_now(on, patience);
    while (teller.tell_one(look)) continue;
    EXPECT_EQ(teller.times().size(), 10U);
    EXPECT_TRUE(std::ranges::all_of(teller.times(), [](const auto& entry) { return entry.second == 1; }));
}

// That what Redis did not take is handed over again is seen from outside, in tests/real_time: the hub of this
// stack would take it from under this test.
TEST(push_log, is_published_by_one_at_a_time) {
    auto on = log_reader();
    auto other = log_reader();
    const auto try_to_publish = [](store::connection& with, const auto& publish) {
        return store::tell_until(with, store::told_place::channels, store::look_now(with, patience), publish,
                                 patience);
    };
    bool other_was_let_in = true;
    const auto publish = [&](const std::vector<notification>& some) {
        other_was_let_in = try_to_publish(other, [](const auto& all) { return all.size(); });
        return some.size();
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
