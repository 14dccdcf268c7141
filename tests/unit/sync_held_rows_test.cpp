// Rows that replace what their reader inserted (SPEC §3 rule 5).
#include "shared/sync/held_rows.hpp"

#include <chrono>
#include <gtest/gtest.h>

namespace mana::sync {
namespace {

using namespace std::chrono_literals;

const instant start = *parse_instant("2026-01-31T09:00:00.000Z");
const position row{start};
const position end{start + 5s};
const insert_hold hold{"ann", "phone", start + 1s, start + 60s, start};

class held_rows_of_a_page : public ::testing::Test {
  protected:
    /// The cursor after a page with the row, read at a moment with the last cursor.
    bool read(std::chrono::seconds after_start, bool cut = false) {
        held_rows page{since_, false, cut};
        const bool settled = page.settles(row, hold, start + after_start);
        since_ = parse_since(to_text(page.end_of_page(end)));
        return settled;
    }
    cursor since_{row - 10s};
};

TEST_F(held_rows_of_a_page, keep_its_cursor_until_they_are_due_and_were_shown_so) {
    EXPECT_FALSE(read(5s));
    EXPECT_EQ(since_.at, row - 1us);
    EXPECT_EQ(since_.shown_until, end);
    EXPECT_FALSE(read(61s)) << "a clock may be behind";
    EXPECT_FALSE(since_.due_since);
    EXPECT_FALSE(read(62s)) << "shown once more as it was";
    EXPECT_TRUE(since_.due_since);
    EXPECT_FALSE(read(76s)) << "its client may not have pushed yet what it had then";
    EXPECT_TRUE(read(77s));
    EXPECT_EQ(since_, cursor{end}) << "and the cursor goes on";
}

TEST_F(held_rows_of_a_page, are_settled_at_once_where_the_cursor_must_go_on) {
    EXPECT_TRUE(read(5s, true));
}

TEST(held_rows, what_was_shown_is_not_shown_again_but_for_what_follows_of_the_same_record) {
    held_rows page{cursor{.at = row - 1us, .shown_until = end}, false, false};
    EXPECT_FALSE(page.was_shown(row, true, "notes", "n"));
    EXPECT_TRUE(page.was_shown(row + 1s, false, "notes", "other"));
    EXPECT_FALSE(page.was_shown(row + 2s, false, "notes", "n"));
    EXPECT_FALSE(page.was_shown(end + 1us, false, "notes", "other")) << "it is new";
}

TEST(held_rows, a_cursor_of_one_table_says_nothing_of_others) {
    const cursor of_a_pull{.at = row - 1us, .shown_until = end, .one_table = true};
    held_rows of_all{of_a_pull, false, false};
    EXPECT_FALSE(of_all.was_shown(row + 1s, false, "notes", "other"));
    held_rows of_one{of_a_pull, true, false};
    EXPECT_TRUE(of_one.was_shown(row + 1s, false, "notes", "other"));
}

class held_fields : public ::testing::Test {
  protected:
    held_field of(const char* client, insert_holds holds) {
        return {json_value{}, start, start, start, std::move(holds), "ann", client, false, false, false};
    }
};

TEST_F(held_fields, are_shown_to_the_one_that_inserted_with_a_later_time) {
    record_state record;
    record.fields["title"] = of("desk", {hold});
    record.fields["color"] = of("phone", {hold}); // which it has written again since
    record.fields["size"] = of("desk", {});
    std::vector<shown_field> fields{{"title", {}, start}, {"color", {}, start}, {"size", {}, start}};
    show_to_inserter(fields, hold, record, false);
    EXPECT_EQ(fields[0].at, hold.likely);
    EXPECT_EQ(fields[1].at, start);
    EXPECT_EQ(fields[2].at, start);
    show_to_inserter(fields, hold, record, true);
    EXPECT_EQ(fields[0].at, hold.until + 1ms);
    EXPECT_EQ(fields[1].at, start);
}

TEST_F(held_fields, are_told_so_in_an_answer_too) {
    const auto title = of("desk", {hold});
    EXPECT_EQ(shown_to(title, "ann", "desk", start), start);
    EXPECT_EQ(shown_to(title, "bob", "phone", start), start);
    EXPECT_EQ(shown_to(title, "ann", "phone", start), hold.likely);
    EXPECT_EQ(shown_to(title, "ann", "phone", start + 62s), hold.until + 1ms);
}

} // namespace
} // namespace mana::sync
