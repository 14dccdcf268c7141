// The cursor promise (SPEC §4): a reader that always sends back the last cursor sees every row exactly once
// and in order, whatever is pushed meanwhile, wherever its pages are cut, whichever scopes it reads.
//
// Commits are made slow and uneven for the apps of this file, so that a position taken early is often
// committed late: without the scopes' locks, or without the one growing clock, readers here miss rows.
#include "shared/store/joined_spaces.hpp"
#include "tests/integration/store_fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace mana::tests {
namespace {

constexpr store::statement jumping_clock{"jumping_clock", R"(
create or replace function wall_clock() returns bigint language sql volatile as
    $$ select (extract(epoch from clock_timestamp() - random() * interval '1 hour') * 1000000)::bigint $$)"};
constexpr store::statement steady_clock{"steady_clock", R"(
create or replace function wall_clock() returns bigint language sql volatile parallel safe
    set search_path = pg_catalog, pg_temp as
    $$ select (extract(epoch from clock_timestamp()) * 1000000)::bigint $$)"};

/// Pushes of uneven size, one after the other. The last change of each is in the table whose commit is slow.
/// A member of spaces writes those in turn.
void write(const device& writer, int pushes) {
    auto on = connect();
    std::string since;
    for (int i = 0; i < pushes; ++i) {
        const auto& spaces = writer.who.spaces;
        const auto space =
            spaces.empty() ? std::string{} : spaces[static_cast<std::size_t>(i) % spaces.size()];
        std::vector<std::string> changes;
        const int size = i % 3 == 0 ? 60 : 1;
        for (int n = 0; n < size; ++n)
            changes.push_back(update_of("notes", fresh("record"), "x", "1", space));
        changes.push_back(update_of("last", fresh("record"), "x", "1", space));
        since = to_text(writer.push(on, changes, since).answer.synced_until);
    }
}

/// The wall clock of PostgreSQL's host, as position clocks see it, jumps back by up to an hour at every look.
struct wall_clock_that_jumps {
    wall_clock_that_jumps() { run_once(connect_as_superuser({jumping_clock}), jumping_clock, {}); }
    ~wall_clock_that_jumps() { run_once(connect_as_superuser({steady_clock}), steady_clock, {}); }
    wall_clock_that_jumps(const wall_clock_that_jumps&) = delete;
    wall_clock_that_jumps& operator=(const wall_clock_that_jumps&) = delete;
};

struct scene {
    std::vector<device> writers;
    std::vector<store::reader> readers;
    int pushes = number_from("MANA_TEST_PUSHES", 60); ///< of each writer; fewer with sanitizers
};

/// Who joins meanwhile is shown copies of what is there: another test's matter.
void join_before_it_begins(scene& played) {
    auto on = connect();
    for (auto& reader : played.readers) {
        make_member(reader, reader.spaces);
        store::follow_spaces(on, played.writers.front().app, reader, soon());
    }
}

void every_reader_sees_every_row_once_and_in_order(scene played) {
    make_commits_uneven();
    join_before_it_begins(played);
    const auto& app = played.writers.front().app;
    std::atomic<bool> written = false;
    std::vector<std::vector<std::string>> seen(played.readers.size());
    {
        std::vector<std::jthread> readers;
        for (std::size_t i = 0; i < played.readers.size(); ++i)
            readers.emplace_back([&, i] { seen[i] = follow_until(written, played.readers[i], app); });
        std::vector<std::jthread> writers;
        for (const auto& writer : played.writers) writers.emplace_back([&] { write(writer, played.pushes); });
        for (auto& writer : writers) writer.join();
        written = true;
    }
    for (std::size_t i = 0; i < played.readers.size(); ++i) {
        const auto log = log_of(store::subscriptions_of(played.readers[i]), app);
        ASSERT_FALSE(log.empty());
        EXPECT_EQ(seen[i].size(), log.size()) << "reader " << i << " missed or repeated rows";
        EXPECT_TRUE(seen[i] == log) << "reader " << i
                                    << " saw other rows, or another order, than the log holds";
    }
}

TEST(cursor_promise, holds_for_one_user_on_many_devices) {
    scene played;
    const auto user = fresh("user");
    const auto app = fresh("uneven");
    for (int i = 0; i < 8; ++i) played.writers.push_back({{user, "writer-" + std::to_string(i), {}}, app});
    for (int i = 0; i < 4; ++i) played.readers.push_back({user, "reader-" + std::to_string(i), {}});
    every_reader_sees_every_row_once_and_in_order(played);
}

scene several_scopes() {
    scene played;
    const auto app = fresh("uneven");
    std::vector<std::string> spaces;
    for (int i = 0; i < 4; ++i) spaces.push_back(fresh("space"));
    std::ranges::sort(spaces);
    for (const auto& space : spaces)
        for (int i = 0; i < 2; ++i) played.writers.push_back({{fresh("writer"), "w", {space}}, app});
    played.readers = {{fresh("reader"), "r", spaces},
                      {fresh("reader"), "r", {spaces[0], spaces[2]}},
                      {played.writers[0].who.user, "other", spaces}};
    return played;
}

TEST(cursor_promise, holds_for_readers_of_several_scopes) {
    every_reader_sees_every_row_once_and_in_order(several_scopes());
}

TEST(cursor_promise, holds_when_the_wall_clock_steps_back) {
    const wall_clock_that_jumps jumps;
    every_reader_sees_every_row_once_and_in_order(several_scopes());
}

} // namespace
} // namespace mana::tests
