// Who joins a space gets its records, though their cursor lies beyond them; who leaves sees no more of it
// (SPEC §6).
#include "shared/store/joined_spaces.hpp"
#include "tests/integration/store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace mana::tests {
namespace {

using namespace std::chrono_literals;

/// Copies of a record "…pause" in an app "slow…" take a second: more than half of the time of a request here.
constexpr store::statement make_copies_slow{"make_copies_slow", R"(
do $do$
begin
    if exists (select from pg_trigger where tgname = 'slow_copy') then return; end if;
    create function slow_copy() returns trigger language plpgsql as $$
        begin perform pg_sleep(1); return new; end $$;
    create trigger slow_copy before insert on sync_changes for each row
        when (new.app_id like 'slow%' and new.scope like 'm:%' and new.record_id like '%pause')
        execute function slow_copy();
end $do$)"};
constexpr auto short_request = 1'800ms;

constexpr store::statement count_copies{
    "count_copies", "select count(*) from sync_changes where scope like 'm:' || $1 || E'\\x1f%'"};

/// A device that pulls all tables and holds what an existing client would: each field with its shown time.
class local_store {
  public:
    using fields = std::map<std::string, std::pair<std::string, sync::instant>>;

    local_store(store::reader who, std::string app) : who_(std::move(who)), app_(std::move(app)) {}

    /// One page, or fewer rows of it. True where there may be more.
    bool pull(store::connection& on, store::deadline until = soon(), int rows = 1'000) {
        store::page_request wanted;
        wanted.app = app_;
        wanted.since = since_;
        wanted.rows = rows;
        wanted.spaces_shared = true;
        const auto page = store::read_page(on, who_, wanted, until);
        for (const auto& change : changes_in(page)) apply(change);
        since_ = page.synced_until;
        return page.has_more;
    }

    void pull_all(store::connection& on) {
        while (pull(on)) {
        }
    }

    [[nodiscard]] const std::map<std::string, fields>& records() const { return records_; }
    [[nodiscard]] sync::position cursor() const { return since_.at; }

  private:
    const store::reader who_;
    const std::string app_;
    sync::cursor since_ = sync::parse_since({});
    std::map<std::string, fields> records_;

    void apply(const sync::wire_change& change) {
        const auto name = change.heading.table + '/' + change.heading.record_id;
        if (change.op == sync::operation::remove) {
            records_.erase(name);
            return;
        }
        auto& record = records_[name];
        for (const auto& field : fields_of(change)) set(record, field);
    }

    static std::vector<sync::shown_field> fields_of(const sync::wire_change& change) {
        if (change.op != sync::operation::insert) return change.fields;
        const auto* at = sync::find_member(*change.data, "updatedAt");
        const auto time = sync::parse_instant(*at->as_string());
        std::vector<sync::shown_field> all;
        for (const auto& [name, value] : *change.data)
            if (sync::is_field(name)) all.push_back({name, value, *time});
        return all;
    }

    static void set(fields& record, const sync::shown_field& field) {
        const auto held = record.find(field.name);
        if (held != record.end() && held->second.second > field.at) return;
        std::erase_if(record, [&](const auto& inner) { return sync::lies_inside(inner.first, field.name); });
        record[field.name] = {sync::to_json_text(field.value), field.at};
    }
};

std::string deletion(const std::string& id, const std::string& space, const std::string& deleted_at = {}) {
    auto change = R"("table":"n","op":"delete","id":")" + id + R"(","spaceId":")" + space + '"';
    if (!deleted_at.empty()) change += R"(,"deletedAt":")" + deleted_at + '"';
    return change;
}

/// Ann has been in the space from the beginning; bob is no member yet, and has something of his own.
class joined_spaces : public testing::Test {
  protected:
    void SetUp() override {
        make_member(ann_.who, {space_});
        make_member(bob_.who, {});
        ann_.push(on_, {write("first", "x", "1")});
        bob_.push(on_, {update_of("n", "own", "x", "1")});
    }

    [[nodiscard]] std::string write(const std::string& id, const std::string& field,
                                    const std::string& value) const {
        return update_of("n", id, field, value, space_);
    }

    void join(device& one) { make_member(one.who, {space_}); }
    void leave(device& one) { make_member(one.who, {}); }

    [[nodiscard]] local_store store_of(const device& one) const { return {one.who, one.app}; }

    /// The scope moves on, and nothing is joined.
    void push_without_copying(const device& from, const std::string& body) {
        const auto push = sync::parse_push(body, from.who.client, {});
        store::run_push(
            on_, from.app, {from.who.user, from.who.client, {}}, *push, {},
            [](const store::committed_push& /*committed*/) {}, soon());
    }

    /// What a device of hers holds that never was here before.
    std::map<std::string, local_store::fields> anns_view() {
        auto fresh_one = store_of(ann_);
        fresh_one.pull_all(on_);
        return fresh_one.records();
    }

    /// The same with what is bob's alone.
    static std::map<std::string, local_store::fields> without_own(const local_store& held) {
        auto records = held.records();
        records.erase("n/own");
        return records;
    }

    const std::string space_ = fresh("space");
    store::connection on_ = connect();
    device ann_{{fresh("ann"), "a", {}}, "todo"};
    device bob_{{fresh("bob"), "b", {}}, "todo"};
};

TEST_F(joined_spaces, show_nothing_before_membership_and_all_of_it_after) {
    auto phone = store_of(bob_);
    phone.pull_all(on_);
    EXPECT_EQ(phone.records().size(), 1U);

    join(bob_);
    phone.pull_all(on_);

    EXPECT_EQ(phone.records().size(), 2U);
    EXPECT_EQ(without_own(phone), anns_view());
}

TEST_F(joined_spaces, bring_what_lies_behind_the_cursor_in_every_form) {
    ann_.push(on_, {R"("table":"n","id":"whole","op":"insert","spaceId":")" + space_ +
                        R"(","data":{"id":"whole","t":[1.50,null],"updatedAt":"2026-01-01T00:00:00.000Z"})",
                    R"("table":"n","id":"untimed","op":"insert","spaceId":")" + space_ +
                        R"(","data":{"id":"untimed","t":null})",
                    write("dotted", "rec", R"({"int":1})"), write("gone", "x", "1"), write("back", "x", "1"),
                    write("soft", "x", "1"), write("undeleted", "x", "1")});
    std::this_thread::sleep_for(5ms);
    const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    ann_.push(on_, {write("dotted", "rec.int", "2"), deletion("gone", space_), deletion("back", space_),
                    deletion("soft", space_, sync::to_text(now)),
                    deletion("undeleted", space_, sync::to_text(now))});
    std::this_thread::sleep_for(5ms);
    ann_.push(on_, {write("back", "y", "2"), write("undeleted", "deletedAt", "null")});
    auto phone = store_of(bob_);
    bob_.push(on_, {update_of("n", "own", "x", "2")});
    phone.pull_all(on_);
    const auto before = phone.cursor();

    join(bob_);
    phone.pull_all(on_);

    EXPECT_GT(phone.cursor(), before);
    EXPECT_EQ(without_own(phone), anns_view());
    EXPECT_FALSE(phone.records().contains("n/gone"));
    EXPECT_EQ(phone.records().at("n/dotted").at("rec.int").first, "2");
    EXPECT_TRUE(phone.records().at("n/soft").contains("deletedAt"));
}

TEST_F(joined_spaces, are_followed_like_any_scope_from_then_on) {
    join(bob_);
    auto phone = store_of(bob_);
    phone.pull_all(on_);
    ann_.push(on_, {write("first", "x", "2"), write("second", "x", "1")});
    phone.pull_all(on_);
    EXPECT_EQ(without_own(phone), anns_view());
}

TEST_F(joined_spaces, are_not_shown_any_more_to_who_left_nor_to_a_fresh_device_of_theirs) {
    join(bob_);
    auto phone = store_of(bob_);
    phone.pull_all(on_);
    const auto held = phone.records();

    leave(bob_);
    ann_.push(on_, {write("second", "x", "1")});
    phone.pull_all(on_);
    auto fresh_one = store_of(bob_);
    fresh_one.pull_all(on_);

    EXPECT_EQ(phone.records(), held);
    EXPECT_EQ(fresh_one.records().size(), 1U);
    EXPECT_GT(run_once(connect_as_superuser({count_copies}), count_copies, {bob_.who.user}).number(0, 0), 0);
}

TEST_F(joined_spaces, bring_who_comes_back_what_was_changed_and_deleted_meanwhile) {
    ann_.push(on_, {write("second", "x", "1"), write("third", "x", "1")});
    join(bob_);
    auto phone = store_of(bob_);
    phone.pull_all(on_);
    leave(bob_);
    phone.pull_all(on_);
    std::this_thread::sleep_for(5ms);
    ann_.push(on_, {deletion("first", space_), deletion("third", space_)});
    std::this_thread::sleep_for(5ms);
    ann_.push(on_, {write("second", "x", "2"), write("third", "y", "1")});
    bob_.push(on_, {update_of("n", "own", "x", "2")});
    phone.pull_all(on_);

    join(bob_);
    phone.pull_all(on_);

    EXPECT_EQ(without_own(phone), anns_view());
    EXPECT_FALSE(phone.records().contains("n/first"));
}

TEST_F(joined_spaces, go_by_what_memberships_last_told_to_whichever_process) {
    const auto outdated = bob_; // a process that still knows bob as no member
    join(bob_);
    auto phone = store_of(bob_);
    phone.pull_all(on_);
    const auto copies = [this] {
        return run_once(connect_as_superuser({count_copies}), count_copies, {bob_.who.user}).number(0, 0);
    };
    const auto copied = copies();
    auto other = store_of(outdated);
    other.pull_all(on_);
    phone.pull_all(on_);
    EXPECT_EQ(other.records(), phone.records());
    EXPECT_EQ(copies(), copied);
}

TEST_F(joined_spaces, keep_copies_for_the_one_who_joined) {
    join(bob_);
    auto phone = store_of(bob_);
    phone.pull_all(on_);
    const auto copies_seen_by = [this](const store::reader& who) {
        auto on = connect({count_copies});
        store::transaction asking(on, who.user, who.spaces);
        asking.send(count_copies, {bob_.who.user});
        return asking.commit(soon())[0].number(0, 0);
    };
    EXPECT_EQ(copies_seen_by(bob_.who), 1);
    EXPECT_EQ(copies_seen_by(ann_.who), 0);
    EXPECT_EQ(copies_seen_by({bob_.who.user, {}, {}}), 0);
}

TEST_F(joined_spaces, of_others_are_seen_by_nobody) {
    static constexpr store::statement every_reader{"every_reader", "select count(*) from sync_reader_spaces"};
    join(bob_);
    for (const auto& each : {ann_, bob_}) store_of(each).pull_all(on_);
    auto on = connect({every_reader});
    store::transaction asking(on, ann_.who.user, ann_.who.spaces);
    asking.send(every_reader, {});
    EXPECT_EQ(asking.commit(soon())[0].number(0, 0), 1);
}

TEST_F(joined_spaces, are_forgotten_with_an_account) {
    static constexpr store::statement erase{"erase", "delete from sync_changes where user_id = $1"};
    static constexpr store::statement kept{"kept", "select from sync_reader_spaces where user_id = $1"};
    join(bob_);
    store_of(bob_).pull_all(on_);
    EXPECT_EQ(run_once(connect_as_owner({kept}), kept, {bob_.who.user}).count(), 1);
    run_once(connect_as_owner({erase}), erase, {bob_.who.user});
    EXPECT_EQ(run_once(connect_as_owner({kept}), kept, {bob_.who.user}).count(), 0);
}

TEST_F(joined_spaces, announce_copies_to_the_one_who_joined) {
    static constexpr store::statement announced{
        "announced", "select to_json(tables), changes, client_id from sync_pushes where scope = $1"};
    join(bob_);
    store_of(bob_).pull_all(on_);
    const auto told = run_once(connect_as_superuser({announced}), announced,
                               {store::scope_of_copies(bob_.who.user, space_)});
    ASSERT_EQ(told.count(), 1);
    EXPECT_EQ(told.text(0, 0), R"(["n"])");
    EXPECT_EQ(told.number(0, 1), 1);
    EXPECT_EQ(told.text(0, 2), "");
    const auto listened = store::subscriptions_of(bob_.who);
    EXPECT_TRUE(std::ranges::count(listened, store::scope_of_copies(bob_.who.user, space_)));
}

TEST_F(joined_spaces, cost_no_copies_where_there_is_nothing_to_copy) {
    std::vector<std::string> spaces{space_};
    for (int i = 0; i < 20; ++i) spaces.push_back(fresh("empty"));
    std::ranges::sort(spaces);
    make_member(bob_.who, spaces);
    const auto shown = store::follow_spaces(on_, bob_.app, bob_.who, soon());
    EXPECT_EQ(shown.whole, spaces);
    EXPECT_EQ(shown.copied, std::vector{space_});
}

TEST_F(joined_spaces, refuse_a_page_of_before) {
    const store::page_request wanted{bob_.app, {}, {}, false, true};
    const auto before = store::spaces_of_page(on_, bob_.who, wanted, soon());
    join(bob_);
    store::follow_spaces(on_, bob_.app, bob_.who, soon());
    const auto after = store::spaces_of_page(on_, bob_.who, wanted, soon());
    const auto read = [&](const std::optional<store::shown_spaces>& shown) {
        return store::read_page_of(on_, bob_.who, wanted, shown, std::nullopt, soon());
    };
    EXPECT_THROW(read(before), store::spaces_changed);
    EXPECT_FALSE(read(after).server_changes.empty());
}

TEST_F(joined_spaces, wait_for_the_users_pages_and_for_the_spaces_writers) {
    static constexpr store::statement lock{"lock", "select from lock_scopes($1, $2, $3)"};
    join(bob_);
    const std::vector<std::string> none;
    const std::vector own{sync::scope_of_user(bob_.who.user)};
    const std::vector shared{sync::scope_of_space(space_)};
    for (const auto& [written, read] : {std::pair{none, own}, std::pair{shared, none}}) {
        auto other = connect({lock});
        store::transaction under_way(other, "", {});
        under_way.send(lock, {bob_.app, store::parameter::array(written), store::parameter::array(read)});
        under_way.finish(soon());
        EXPECT_TRUE(store::follow_spaces(on_, bob_.app, bob_.who, soon()).whole.empty());
    }
    EXPECT_EQ(store::follow_spaces(on_, bob_.app, bob_.who, soon()).whole, std::vector{space_});
}

TEST_F(joined_spaces, are_shown_in_the_answer_to_a_push) {
    join(bob_);
    const auto done = bob_.push(on_, {update_of("n", "own", "x", "2")});
    EXPECT_TRUE(std::ranges::any_of(changes_in(done.answer), [](const sync::wire_change& change) {
        return change.heading.record_id == "first";
    }));
}

// ---- large and busy spaces ----

/// More records than one transaction copies, some of which take long.
std::vector<std::string> records_of_a_large_space() {
    std::vector<std::string> ids;
    for (int i = 1'000; i < 4'000; ++i) ids.push_back(std::to_string(i) + (i % 1'000 == 500 ? "pause" : ""));
    return ids;
}

TEST_F(joined_spaces, are_joined_in_steps_where_they_are_large_though_they_change_meanwhile) {
    run_once(connect_as_superuser({make_copies_slow}), make_copies_slow, {});
    ann_.app = bob_.app = fresh("slow");
    const auto ids = records_of_a_large_space();
    for (std::size_t from = 0; from < ids.size(); from += 500) {
        std::vector<std::string> changes;
        for (std::size_t i = from; i < from + 500; ++i) changes.push_back(write(ids[i], "x", "1"));
        ann_.push(on_, changes);
    }
    auto phone = store_of(bob_);
    bob_.push(on_, {update_of("n", "own", "x", "1")});
    phone.pull_all(on_);
    join(bob_);
    int requests = 1; // each is followed by other changes, some of records that have been copied
    for (; phone.pull(on_, std::chrono::steady_clock::now() + short_request, 5'000); ++requests) {
        ann_.push(on_, {write("1001", "x" + std::to_string(requests), "2"),
                        deletion("100" + std::to_string(1 + requests), space_),
                        write("new-" + std::to_string(requests), "x", "1")});
        push_without_copying(bob_, R"({"changes":[{)" + update_of("n", "own", "x", std::to_string(requests)) +
                                       "}]}");
    }
    EXPECT_GE(requests, 3);
    EXPECT_TRUE(without_own(phone) == anns_view());
}

/// Writes into the space, changes, deletes and revives, until `joined`. Counts its pushes.
void keep_busy(const device& writer, const std::string& space, const std::atomic<bool>& joined,
               std::atomic<int>& pushed) {
    auto on = connect();
    std::mt19937 random{std::random_device{}()};
    for (int i = 0; !joined; ++i) {
        const auto id = std::to_string(random() % 40);
        std::vector<std::string> changes{update_of("n", id, "x", std::to_string(i), space),
                                         update_of("n", fresh("new"), "x", "1", space)};
        for (const auto* late : {"1", "2", "3", "4"})
            changes.push_back(update_of("last", late, "x", std::to_string(i), space));
        if (i % 5 == 0) changes.push_back(deletion(id, space));
        writer.push(on, changes);
        ++pushed;
    }
}

/// Writes into its own scope, so that cursors go on.
void keep_own_busy(const device& writer, const std::atomic<bool>& joined) {
    auto on = connect();
    for (int i = 0; !joined; ++i) {
        writer.push(on, {update_of("n", "own", "x", std::to_string(i))});
        std::this_thread::sleep_for(1ms);
    }
}

/// Pulls small pages until `joined`.
void pull_meanwhile(local_store& held, const std::atomic<bool>& joined) {
    auto on = connect();
    while (!joined) held.pull(on, soon(), 7);
}

TEST_F(joined_spaces, lose_nothing_while_they_are_written_and_members_come_and_go) {
    constexpr int members = 8;
    constexpr int rounds = 3;        // an odd number: all are members at last
    constexpr int least_pushes = 40; // each with a record of its own
    std::atomic<int> pushed = 0;
    make_commits_uneven();
    ann_.app = fresh("uneven");
    std::vector<device> comers;
    std::vector<local_store> held;
    for (int i = 0; i < members; ++i) comers.push_back({{fresh("comer"), "c", {}}, ann_.app});
    for (const auto& each : comers) held.push_back(store_of(each));
    std::atomic<bool> joined = false;
    {
        std::vector<std::jthread> threads;
        for (const auto* client : {"w1", "w2", "w3"})
            threads.emplace_back([&, writer = device{{ann_.who.user, client, {space_}}, ann_.app}] {
                keep_busy(writer, space_, joined, pushed);
            });
        for (const auto& each : comers) threads.emplace_back([&, each] { keep_own_busy(each, joined); });
        for (auto& each : held) threads.emplace_back([&] { pull_meanwhile(each, joined); });
        for (int round = 0; round < rounds; ++round)
            for (auto& each : comers) {
                std::this_thread::sleep_for(40ms);
                make_member(each.who, round % 2 == 0 ? std::vector{space_} : std::vector<std::string>{});
            }
        while (pushed < least_pushes) std::this_thread::sleep_for(10ms); // as slow as the machine may be
        joined = true;
    }
    const auto expected = anns_view();
    EXPECT_GT(expected.size(), static_cast<std::size_t>(least_pushes));
    for (auto& each : held) {
        each.pull_all(on_);
        EXPECT_TRUE(without_own(each) == expected);
    }
}

} // namespace
} // namespace mana::tests
