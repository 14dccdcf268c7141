// Last write wins, field by field (SPEC §3 rules 1 to 6, and homes of §6).
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

namespace mana::sync {
namespace {

using namespace std::chrono_literals;

/// Times of a day are written as hours and minutes here.
std::string at(std::string_view clock) {
    return "2026-01-31T" + std::string(clock) + ":00.000Z";
}
instant time(std::string_view clock) {
    return *parse_instant(at(clock));
}

class merge : public ::testing::Test {
  protected:
    /// One push, received at `clock`, against what earlier ones left behind.
    merge_outcome push(const std::string& client, std::string_view clock, const std::string& changes) {
        return push_as({"u", client, spaces_}, clock, changes);
    }
    merge_outcome push_as(const writer& author, std::string_view clock, const std::string& changes) {
        auto read = parse_push("{\"changes\":[" + changes + "]}", author.client, {});
        EXPECT_TRUE(read && read->rejected.empty()) << changes;
        const auto before = records_;
        auto outcome = merge_push(
            read->changes, author,
            {.receipt = time(clock), .max_clock_skew = 24h, .record_bytes = record_bytes_}, records_);
        for (auto it = records_.begin(); it != records_.end();) {
            auto& [key, state] = *it;
            replaced_ = state.replaced;
            state.touched = state.replaced = false;
            for (auto& [name, field] : state.fields) field.fresh = field.dirty = false;
            const bool lives = !state.fields.empty() || state.tombstone || before.contains(key);
            it = lives ? std::next(it) : records_.erase(it);
        }
        return outcome;
    }

    static std::string update(std::string_view fields, std::string_view id = "n") {
        return R"({"table":"t","id":")" + std::string(id) + R"(","op":"update","fields":{)" +
               std::string(fields) + "}}";
    }
    static std::string set(std::string_view field, std::string_view value, std::string_view clock) {
        return '"' + std::string(field) + R"(":{"value":)" + std::string(value) + R"(,"at":")" + at(clock) +
               "\"}";
    }
    static std::string insert(std::string_view data, std::string_view id = "n") {
        return R"({"table":"t","id":")" + std::string(id) + R"(","op":"insert","data":{)" +
               std::string(data) + "}}";
    }
    static std::string hard_delete() { return R"({"table":"t","id":"n","op":"delete"})"; }

    record_state& record(std::string_view scope = "u:u", std::string_view id = "n") {
        return records_.at({std::string(scope), "t", std::string(id)});
    }
    std::string value(std::string_view field) {
        const auto held = record().fields.find(field);
        return held != record().fields.end() ? to_json_text(held->second.value) : "none";
    }
    std::string shown(std::string_view field) {
        return to_text(record().fields.at(std::string(field)).shown);
    }

    /// Repairs as one line: "delete" or "field=value,field=value" per change.
    static std::string repairs(const merge_outcome& outcome) {
        std::string text;
        for (const auto& change : outcome.repairs) {
            text += text.empty() ? "" : " | ";
            if (change.op == operation::remove) text += "delete";
            for (const auto& field : change.fields)
                text += (&field != &change.fields.front() ? "," : "") + field.name + "=" +
                        to_json_text(field.value);
        }
        return text;
    }

    std::optional<std::vector<std::string>> spaces_;
    record_map records_;
    std::size_t record_bytes_ = 10'000'000;
    bool replaced_ = false; ///< what the last push said of the last record
};

// What wins.

TEST_F(merge, a_strictly_later_claim_wins_and_an_earlier_one_loses) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    EXPECT_EQ(push("B", "09:01", update(set("f", "2", "08:01"))).rows.size(), 1U);
    EXPECT_EQ(value("f"), "2");
    const auto lost = push("A", "09:02", update(set("f", "3", "08:00")));
    EXPECT_EQ(value("f"), "2");
    EXPECT_TRUE(lost.rows.empty());
}

TEST_F(merge, on_a_tie_the_one_already_there_stays) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    const auto tie = push("B", "09:01", update(set("f", "2", "08:00")));
    EXPECT_EQ(value("f"), "1");
    ASSERT_EQ(tie.conflicts.size(), 1U);
    EXPECT_EQ(tie.conflicts[0].server_value.value().text, "1");
    EXPECT_EQ(to_text(tie.conflicts[0].server_time), at("08:00"));
    ASSERT_EQ(tie.lost.size(), 1U);
    EXPECT_EQ(tie.lost[0].reason, "older");
}

TEST_F(merge, a_push_that_is_retried_adds_no_row_and_no_conflict) {
    const auto changes =
        insert(R"("a":1)") + "," + update(set("a", "2", "08:30")) + "," + update(set("b.c", "3", "08:31"));
    push("A", "09:00", changes);
    const auto again = push("A", "09:01", changes);
    EXPECT_TRUE(again.rows.empty());
    EXPECT_TRUE(again.conflicts.empty());
}

TEST_F(merge, an_untimed_insert_fills_what_has_no_value_and_overwrites_nothing) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    const auto outcome = push("B", "09:01", insert(R"("f":"","g":2)"));
    EXPECT_EQ(value("f"), "1");
    EXPECT_EQ(value("g"), "2");
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_EQ(to_json_text(parse_stored_json(outcome.rows[0].data)), R"({"g":2})");
    EXPECT_EQ(outcome.rows[0].op, operation::update) << "its data are no longer the insert's";
}

TEST_F(merge, writes_without_a_time_win_only_where_there_is_no_value) {
    push("A", "09:00", update(R"("f":{"value":1})"));
    EXPECT_EQ(value("f"), "1");
    push("B", "09:01", update(R"("f":{"value":2})"));
    EXPECT_EQ(value("f"), "1");
}

TEST_F(merge, several_writes_to_one_field_fold_into_the_latest) {
    const auto outcome = push("A", "09:00",
                              update(set("f", "1", "08:00")) + "," + update(set("f", "3", "08:02")) + "," +
                                  update(set("f", "2", "08:01")));
    EXPECT_EQ(value("f"), "3");
    EXPECT_EQ(outcome.rows.size(), 1U);
}

TEST_F(merge, of_equal_times_in_one_push_the_last_in_order_wins) {
    push("A", "09:00", update(set("f", "1", "08:00")) + "," + update(set("f", "2", "08:00")));
    EXPECT_EQ(value("f"), "2");
    push("A", "09:00", update(set("a.b", "1", "08:00")) + "," + update(set("a", "null", "08:00")));
    EXPECT_EQ(value("a"), "null");
    EXPECT_EQ(value("a.b"), "none");
    push("A", "09:00", update(set("c", "null", "08:00")) + "," + update(set("c.b", "1", "08:00")));
    EXPECT_EQ(value("c.b"), "1");
}

TEST_F(merge, an_author_is_told_of_a_folded_write_that_came_last) {
    // The clock went back between the two: the author holds the second.
    const auto outcome =
        push("A", "09:00", update(set("f", "1", "08:00")) + "," + update(set("f", "2", "07:00")));
    EXPECT_EQ(value("f"), "1");
    EXPECT_EQ(repairs(outcome), "f=1");
}

TEST_F(merge, an_add_that_an_earlier_edit_in_the_queue_outlives_is_answered_with_a_reset) {
    const auto outcome = push("A", "09:00", update(set("f", "1", "08:00")) + "," + insert(R"("f":2)"));
    EXPECT_EQ(value("f"), "1");
    EXPECT_EQ(repairs(outcome), "delete | f=1");
    EXPECT_TRUE(record().marked);
}

TEST_F(merge, a_hard_delete_keeps_the_writes_before_it_from_those_after_it) {
    push("A", "09:00",
         update(set("f", "1", "10:00") + "," + set("g", "1", "10:00")) + "," + hard_delete() + "," +
             update(set("g", "2", "09:30")));
    EXPECT_EQ(value("f"), "none");
    EXPECT_EQ(value("g"), "2");
}

TEST_F(merge, a_claim_far_ahead_compares_as_a_day_after_its_receipt) {
    const auto ahead = R"("f":{"value":1,"at":"2036-01-31T09:00:00.000Z"})";
    const auto outcome = push("A", "09:00", update(ahead));
    EXPECT_EQ(outcome.capped, 1U);
    EXPECT_EQ(shown("f"), "2036-01-31T09:00:00.000Z") << "it is shown uncapped";
    EXPECT_EQ(record().fields.at("f").compared, time("09:00") + 24h);

    EXPECT_TRUE(push("A", "09:05", update(ahead)).rows.empty()) << "the same claim again is a tie";
    EXPECT_EQ(push("B", "10:00", update(R"("f":{"value":2,"at":"2026-02-01T09:00:00.001Z"})")).rows.size(),
              1U);
    EXPECT_EQ(value("f"), "2");
    EXPECT_EQ(shown("f"), "2036-01-31T09:00:00.001Z");
}

TEST_F(merge, of_claims_too_far_ahead_the_later_one_wins_though_the_clock_was_set_back) {
    const auto earlier = R"("f":{"value":1,"at":"2036-01-31T09:00:00.000Z"})";
    const auto later = R"("f":{"value":2,"at":"2036-01-31T09:00:01.000Z"})";
    push("A", "10:00", update(earlier));
    push("B", "09:00", update(later));
    EXPECT_EQ(value("f"), "2") << "B holds it with a time later than A's, and would take no other";
    EXPECT_EQ(shown("f"), "2036-01-31T09:00:01.000Z");
    EXPECT_TRUE(push("B", "09:30", update(later)).rows.empty()) << "the same claim again is a tie";
}

TEST_F(merge, of_claims_too_far_ahead_inside_an_object_the_later_one_wins_though_the_clock_was_set_back) {
    push("A", "10:00", update(R"("rec.b":{"value":1,"at":"2036-01-31T09:00:00.000Z"})"));
    push("A", "09:00", update(R"("rec.b":{"value":2,"at":"2036-01-31T09:00:01.000Z"})"));
    push("A", "09:01", update(R"("rec":{"value":{"a":3,"b":3},"at":"2036-01-31T09:00:02.000Z"})"));
    EXPECT_EQ(value("rec"), R"({"a":3,"b":3})");
    EXPECT_EQ(value("rec.b"), "none") << "it is older than what lies around it, by its claim and by receipt";
}

TEST_F(merge, of_claims_too_far_ahead_in_one_push_the_later_in_order_wins_though_the_clock_was_set_back) {
    push("A", "10:00", update(R"("rec":{"value":null,"at":"2036-01-31T09:00:00.000Z"})"));
    push("A", "09:00",
         update(R"("rec":{"value":{"a":1,"b":1},"at":"2036-01-31T09:00:01.000Z"})") + "," +
             update(R"("rec.b":{"value":2,"at":"2036-01-31T09:00:01.000Z"})"));
    EXPECT_EQ(value("rec.b"), "2");
}

TEST_F(merge, a_claim_within_the_skew_is_not_capped) {
    EXPECT_EQ(push("A", "09:00", update(R"("f":{"value":1,"at":"2026-02-01T09:00:00.000Z"})")).capped, 0U);
}

// Tombstones.

TEST_F(merge, a_stored_path_of_200000_steps_stops_nobody) {
    std::string path = "a";
    for (int i = 0; i < 200'000; ++i) path += ".b";
    push("A", "09:00", update(set("other", "1", "08:00")));
    auto held = record().fields.at("other");
    held.value = parse_stored_json("1");
    record().fields[path] = held;
    push("A", "09:01", update(set("a", "0", "07:00")));
    const auto outcome = push("A", "09:02", update(set("a", "2", "06:00")));
    ASSERT_EQ(outcome.conflicts.size(), 1U);
    EXPECT_EQ(outcome.conflicts[0].server_value.value().text, "0");
}

TEST_F(merge, a_record_takes_no_change_that_makes_it_too_large) {
    const auto text = [](std::size_t bytes) { return '"' + std::string(bytes, 'x') + '"'; };
    push("A", "09:00", update(set("a", text(9'000'000), "08:00")));
    const auto refused = push("A", "09:01", update(set("b", text(2'000'000), "08:00")));
    ASSERT_EQ(refused.rejected.size(), 1U);
    EXPECT_EQ(refused.rejected[0].code, "record_too_large");
    EXPECT_EQ(refused.lost.size(), 1U) << "it is kept";
    EXPECT_EQ(value("b"), "none");
    EXPECT_TRUE(push("A", "09:02", update(set("a", text(9'500'000), "08:01"))).rejected.empty())
        << "a value counts for the one that it replaces";
    EXPECT_TRUE(push("A", "09:03", update(set("a", "1", "08:02"))).rejected.empty());
    EXPECT_TRUE(push("A", "09:04", update(set("b", text(2'000'000), "08:00"))).rejected.empty())
        << "there is room again";
}

TEST_F(merge, a_change_that_is_refused_takes_no_other_with_it) {
    const auto text = [](std::size_t bytes) { return '"' + std::string(bytes, 'x') + '"'; };
    push("A", "09:00", update(set("held", text(2'000'000), "08:00")));
    const auto outcome = push("A", "09:01",
                              update(set("f", "1", "08:01")) + "," +
                                  update(set("f", "2", "08:02") + "," + set("g", text(9'000'000), "08:02")) +
                                  "," + update(set("h", "3", "08:03")));
    ASSERT_EQ(outcome.rejected.size(), 1U);
    EXPECT_EQ(outcome.rejected[0].index, 1U);
    EXPECT_EQ(value("f"), "1") << "the earlier write counts, though a later one was refused";
    EXPECT_EQ(value("g"), "none");
    EXPECT_EQ(value("h"), "3");
}

TEST_F(merge, a_full_record_can_be_deleted) {
    push("A", "09:00", update(set("a", '"' + std::string(9'999'800, 'x') + '"', "08:00")));
    const auto outcome =
        push("A", "09:01", update(set("deletedAt", "\"2026-01-31T09:01:00.000Z\"", "09:01")));
    EXPECT_TRUE(outcome.rejected.empty());
    EXPECT_NE(value("deletedAt"), "none");
    EXPECT_EQ(push("A", "09:02", update(set("b", "1", "09:02"))).rejected.size(), 1U);
    EXPECT_TRUE(push("A", "09:03", hard_delete() + "," + update(set("b", "1", "09:04"))).rejected.empty());
}

TEST_F(merge, refused_changes_are_kept_in_few_rows_where_each_field_would_take_too_much) {
    std::string fields;
    for (int i = 0; i < 1'000; ++i)
        fields += (i == 0 ? "" : ",") + set("f" + std::to_string(i), "1", "08:00");
    std::string changes;
    for (int i = 100; i < 130; ++i)
        changes += std::string(i == 100 ? "" : ",") + R"({"table":"t","id":")" + std::to_string(i) +
                   std::string(990, 'x') + R"(","op":"update","fields":{)" + fields + "}}";
    record_bytes_ = 1'000;
    const auto outcome = push("A", "09:00", changes);
    EXPECT_EQ(outcome.rejected.size(), 30U);
    EXPECT_LT(outcome.lost.size(), 16'000U) << "of a kilobyte each";
    EXPECT_EQ(outcome.lost.back().reason, "record_too_large");
    EXPECT_EQ(outcome.lost.back().field, "");
}

TEST_F(merge, conflicts_tell_of_no_more_than_a_page_has_and_lost_writes_of_all) {
    std::string held;
    std::string late;
    for (int i = 0; i < 12; ++i) {
        const auto name = "f" + std::to_string(i);
        held += (i == 0 ? "" : ",") + set(name, '"' + std::string(500'000, 'h') + '"', "08:01");
        late += (i == 0 ? "" : ",") + set(name, '"' + std::string(500'000, 'l') + '"', "08:00");
    }
    push("A", "09:00", update(held));
    const auto outcome = push("B", "09:01", update(late));
    EXPECT_EQ(outcome.lost.size(), 12U);
    EXPECT_EQ(outcome.fields_lost, 12U);
    EXPECT_EQ(outcome.conflicts.size(), 7U) << "of a megabyte each";
}

TEST_F(merge, lost_writes_of_a_change_are_kept_together_where_each_would_take_too_much) {
    const auto fields = [](const char* value, const char* clock) {
        std::string all;
        for (int i = 0; i < 1'000; ++i)
            all += (i == 0 ? "" : ",") + set("f" + std::to_string(i), value, clock);
        return all;
    };
    std::string held;
    std::string late;
    for (int i = 100; i < 120; ++i) {
        const auto id = std::to_string(i) + std::string(990, 'x');
        held += (i == 100 ? "" : ",") + update(fields("1", "08:01"), id);
        late += (i == 100 ? "" : ",") + update(fields("2", "08:00"), id);
    }
    push("A", "09:00", held);
    const auto outcome = push("B", "09:01", late);
    EXPECT_EQ(outcome.fields_lost, 20'000U);
    EXPECT_LT(outcome.lost.size(), 16'000U) << "of a kilobyte each";
    const auto& last = outcome.lost.back();
    EXPECT_EQ(last.field, "");
    const auto kept = parse_push("{\"changes\":[" + last.value + "]}", "", {});
    ASSERT_TRUE(kept && kept->changes.size() == 1);
    EXPECT_EQ(kept->changes[0].writes.size(), 1'000U);
    EXPECT_EQ(kept->changes[0].writes[0].value.text, "2");
    EXPECT_EQ(to_text(kept->changes[0].writes[0].at.value()), at("08:00"));
}

TEST_F(merge, paths_into_one_large_value_are_looked_at_for_so_long_only) {
    std::string nested = '"' + std::string(5'000'000, 'x') + '"';
    for (int i = 0; i < 100; ++i) nested = "{\"b\":" + nested + "}";
    push("A", "09:00", update(set("a", nested, "08:01")));
    std::string late;
    std::string path = "a";
    for (int i = 0; i < 100; ++i) late += (i == 0 ? "" : ",") + set(path += ".b", "1", "08:00");
    const auto outcome = push("B", "09:01", update(late));
    EXPECT_EQ(outcome.fields_lost, 100U);
    EXPECT_EQ(outcome.lost.size(), 100U);
    std::size_t told = 0;
    for (const auto& lost : outcome.conflicts) told += lost.server_value ? lost.server_value->text.size() : 0;
    EXPECT_LE(told, conflict_bytes);
}

TEST_F(merge, a_hard_delete_is_a_tombstone_at_its_receipt) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    const auto outcome = push("B", "10:00", hard_delete());
    EXPECT_EQ(record().tombstone, time("10:00"));
    EXPECT_TRUE(record().fields.empty());
    EXPECT_TRUE(record().marked);
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_EQ(outcome.rows[0].op, operation::remove);
}

TEST_F(merge, a_tombstone_beats_older_writes_and_untimed_inserts) {
    push("A", "10:00", hard_delete());
    const auto outcome = push("B", "10:01", update(set("f", "1", "10:00")) + "," + insert(R"("g":1)"));
    EXPECT_TRUE(record().fields.empty());
    EXPECT_EQ(repairs(outcome), "delete");
    ASSERT_EQ(outcome.conflicts.size(), 2U);
    EXPECT_EQ(outcome.conflicts[0].server_value.value().text, "null");
    EXPECT_EQ(to_text(outcome.conflicts[0].server_time), at("10:00"));
    EXPECT_EQ(outcome.lost[0].reason, "tombstone");
}

TEST_F(merge, a_write_that_meets_a_tombstone_is_answered_with_a_reset) {
    push("A", "10:00", hard_delete());
    push("A", "10:05", update(set("g", "2", "10:01")));
    EXPECT_EQ(repairs(push("B", "10:06", update(set("f", "1", "09:00")))), "delete | g=2");
}

TEST_F(merge, a_tombstone_never_goes_back) {
    push("A", "10:00", hard_delete());
    push("A", "09:00", hard_delete());
    EXPECT_EQ(record().tombstone, time("10:00"));
}

TEST_F(merge, a_later_write_revives_the_record_with_its_own_fields) {
    push("A", "09:00", update(set("f", "1", "08:00") + "," + set("g", "1", "08:00")));
    push("A", "10:00", hard_delete());
    push("B", "10:05", update(set("g", "2", "10:01")));
    EXPECT_EQ(value("f"), "none");
    EXPECT_EQ(value("g"), "2");
}

// Objects.

TEST_F(merge, an_inner_write_that_is_not_later_than_its_object_loses_to_it) {
    push("A", "09:00", update(set("rec", R"({"int":1})", "08:00")));
    const auto outcome = push("B", "09:01", update(set("rec.int", "2", "08:00")));
    EXPECT_EQ(value("rec.int"), "none");
    EXPECT_EQ(repairs(outcome), R"(rec={"int":1})");
    ASSERT_EQ(outcome.conflicts.size(), 1U);
    EXPECT_EQ(outcome.conflicts[0].server_value.value().text, "1");
}

TEST_F(merge, a_later_object_removes_older_inner_values) {
    push("A", "09:00", update(set("rec.int", "2", "08:00") + "," + set("recent", "1", "08:00")));
    push("B", "09:01", update(set("rec", "null", "08:01")));
    EXPECT_EQ(value("rec.int"), "none");
    EXPECT_TRUE(replaced_) << "adding to what is stored would keep it";
    EXPECT_EQ(value("recent"), "1") << "a name that only begins alike lies not inside";
}

TEST_F(merge, newer_inner_values_travel_in_the_row_of_their_object) {
    push("A", "09:00", update(set("rec.int", "2", "08:30")));
    const auto outcome = push("B", "09:01", update(set("rec", R"({"int":1})", "08:00")));
    EXPECT_EQ(value("rec.int"), "2");
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_EQ(to_json_text(parse_stored_json(outcome.rows[0].data)), R"({"rec":{"int":1},"rec.int":2})");
    EXPECT_EQ(shown("rec"), "2026-01-31T08:30:00.001Z") << "later than what lies inside";
    EXPECT_EQ(shown("rec.int"), shown("rec"));
}

TEST_F(merge, a_dotted_path_marks_its_record) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    EXPECT_FALSE(record().marked);
    push("A", "09:00", update(set("rec.int", "1", "08:00")));
    EXPECT_TRUE(record().marked);
}

// Shown times.

TEST_F(merge, a_winner_is_shown_with_its_claim) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    EXPECT_EQ(shown("f"), at("08:00"));
}

TEST_F(merge, an_untimed_insert_is_shown_as_made_a_little_before_its_receipt) {
    push("A", "09:00", insert(R"("f":1)"));
    EXPECT_EQ(shown("f"), "2026-01-31T08:59:58.000Z");
    EXPECT_FALSE(record().fields.at("f").claimed);
}

TEST_F(merge, an_author_knows_what_they_hold_of_their_own_insert) {
    push("A", "09:00", insert(R"("f":1)"));
    const auto edit = push("A", "09:05", update(set("f", "2", "08:00") + "," + set("g", "1", "09:00")));
    EXPECT_EQ(shown("f"), "2026-01-31T08:59:58.001Z") << "others hold the insert's time";
    EXPECT_EQ(repairs(edit), "") << "and the author its own";
    EXPECT_FALSE(edit.rows.at(0).told);
    EXPECT_EQ(repairs(push("A", "09:06", update(set("f", "3", "08:10")))), "");
}

// What a client inserted, and others then wrote (SPEC §3 rule 5).

TEST_F(merge, what_beats_an_insert_is_shown_with_its_claim_to_all_but_the_one_that_inserted) {
    push("A", "09:00", insert(R"("f":1)"));
    const auto outcome = push("B", "09:05", update(set("f", "2", "09:00")));
    EXPECT_EQ(shown("f"), at("09:00"));
    EXPECT_EQ(repairs(outcome), "");
    EXPECT_FALSE(outcome.rows.at(0).told);
    const auto* hold = find_hold(outcome.rows.at(0).held, "u", "A");
    ASSERT_NE(hold, nullptr);
    EXPECT_EQ(to_text(hold->likely), at("09:00")) << "its receipt, where nothing is known of A's clock";
    EXPECT_EQ(to_text(hold->until), at("09:01"));
    EXPECT_EQ(push("A", "09:06", insert(R"("f":1)")).rows.size(), 0U);
}

TEST_F(merge, what_comes_later_than_the_inserter_can_hold_is_held_for_nobody) {
    push("A", "09:00", insert(R"("f":1)"));
    EXPECT_TRUE(push("B", "09:05", update(set("f", "2", "09:02"))).rows.at(0).held.empty());
}

TEST_F(merge, the_claims_around_an_insert_say_when_its_author_made_it) {
    const auto hold_of = [&](const std::string& id) {
        const auto outcome = push("B", "10:00", update(set("f", "9", "09:00"), id));
        const auto* hold = find_hold(outcome.rows.at(0).held, "u", "A");
        return hold != nullptr ? to_text(hold->likely) + " " + to_text(hold->until) : std::string("none");
    };
    push("A", "09:00", insert(R"("f":1,"createdAt":"2026-01-31T08:59:59.000Z")", "claims"));
    EXPECT_EQ(hold_of("claims"), "2026-01-31T08:59:59.900Z 2026-01-31T09:00:09.900Z");
    push("A", "09:00", insert(R"("f":1,"createdAt":"2019-01-01T00:00:00.000Z")", "old"));
    EXPECT_EQ(hold_of("old"), "2026-01-31T09:00:00.000Z 2026-01-31T09:01:00.000Z")
        << "an import tells nothing";
    push("A", "09:00", insert(R"("f":1)", "edited") + "," + update(set("g", "1", "08:59"), "edited"));
    EXPECT_EQ(hold_of("edited"), "none") << "it was made before that edit";
    push("A", "09:00", insert(R"("f":1,"createdAt":"2026-01-31T12:00:00.000Z")", "ahead"));
    EXPECT_EQ(push("B", "12:00", update(set("f", "9", "12:00"), "ahead")).rows.size(), 0U);
}

TEST_F(merge, an_edit_by_the_one_that_inserted_ends_the_hold) {
    push("A", "09:00", insert(R"("f":1)"));
    push("A", "09:01", update(set("f", "2", "09:00")));
    EXPECT_TRUE(push("B", "09:02", update(set("f", "3", "09:01"))).rows.at(0).held.empty());
}

TEST_F(merge, an_insert_that_is_sent_again_is_no_other_insert) {
    push("A", "09:00", insert(R"("f":1,"g":2)"));
    push("B", "09:01", update(set("f", "2", "09:00")));
    const auto again = push("A", "09:02", insert(R"("f":1,"g":2)"));
    EXPECT_EQ(repairs(again), "f=2") << "and no reset";
    EXPECT_TRUE(again.rows.empty());
    EXPECT_FALSE(record().marked);
}

// What the author is told.

TEST_F(merge, a_loser_is_told_what_is_held_for_its_root_field) {
    push("A", "09:00",
         update(set("rec", R"({"int":1})", "08:00") + "," + set("rec.int", "2", "08:05") + "," +
                set("other", "1", "08:05")));
    EXPECT_EQ(repairs(push("B", "09:01", update(set("rec.int", "3", "08:01")))),
              R"(rec={"int":1} | rec.int=2)");
}

TEST_F(merge, an_identical_loser_is_told_nothing_and_is_no_conflict) {
    push("A", "09:00", update(set("f", "1.0", "08:00")));
    const auto outcome = push("B", "09:01", update(set("f", "1", "07:00")));
    EXPECT_EQ(repairs(outcome), "");
    EXPECT_TRUE(outcome.conflicts.empty());
    EXPECT_TRUE(outcome.lost.empty());
}

TEST_F(merge, a_winner_that_is_shown_with_another_time_is_told_and_its_row_flagged) {
    push("A", "09:00", insert(R"("f":1)"));
    const auto outcome = push("B", "09:05", update(set("f", "2", "08:00")));
    EXPECT_EQ(repairs(outcome), "f=2");
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_TRUE(outcome.rows[0].told);
    EXPECT_FALSE(push("B", "09:05", update(set("g", "2", "08:00"))).rows.at(0).told);
}

TEST_F(merge, an_insert_that_finds_another_clients_or_another_value_is_answered_with_a_reset) {
    push("A", "09:00", insert(R"("f":1,"g":2)"));
    EXPECT_EQ(repairs(push("A", "09:01", insert(R"("f":1,"g":2)"))), "") << "its own, the same";
    EXPECT_FALSE(record().marked);
    EXPECT_EQ(repairs(push("B", "09:02", insert(R"("f":1)"))), "delete | f=1,g=2");
    EXPECT_TRUE(record().marked);

    push("A", "09:00", insert(R"("f":1)", "m"));
    EXPECT_EQ(repairs(push("A", "09:02", insert(R"("f":3)", "m"))), "delete | f=1");
}

TEST_F(merge, an_insert_that_finds_a_marked_record_is_answered_with_a_reset) {
    push("A", "09:00", update(set("rec.int", "1", "08:00")));
    EXPECT_EQ(repairs(push("A", "09:01", insert(R"("new":1)"))), "delete | new=1 | rec.int=1");
}

TEST_F(merge, what_is_told_of_a_soft_deleted_record_carries_its_deletedAt) {
    push("A", "09:00", update(set("f", "1", "08:00") + "," + set("deletedAt", "\"x\"", "08:00")));
    EXPECT_EQ(repairs(push("B", "09:01", update(set("f", "2", "07:00")))), R"(f=1,deletedAt="x")");
}

TEST_F(merge, what_is_told_does_not_carry_the_losers_actor) {
    push("A", "09:00", update(set("f", "1", "08:00")));
    const auto outcome =
        push("B", "09:01",
             R"({"table":"t","id":"n","op":"update","actor":{"kind":"ai"},"origin":"x","fields":{)" +
                 set("f", "2", "07:00") + "}}");
    ASSERT_EQ(outcome.repairs.size(), 1U);
    EXPECT_FALSE(outcome.repairs[0].heading.actor);
    EXPECT_EQ(outcome.repairs[0].heading.origin, "");
}

// Rows.

TEST_F(merge, an_inserts_row_keeps_its_id_and_what_won) {
    const auto outcome =
        push("A", "09:00", insert(R"("id":"n","f":1,"createdAt":"2019-01-01T00:00:00.000Z")"));
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_EQ(outcome.rows[0].op, operation::insert);
    EXPECT_EQ(to_json_text(parse_stored_json(outcome.rows[0].data)),
              R"({"createdAt":"2019-01-01T00:00:00.000Z","f":1,"id":"n"})");
    EXPECT_EQ(to_json_text(parse_stored_json(outcome.rows[0].field_meta)),
              R"({"createdAt":"2019-01-01T00:00:00.000Z","f":"2019-01-01T00:00:00.000Z"})");
}

TEST_F(merge, a_soft_delete_is_stored_as_an_update) {
    const auto outcome =
        push("A", "09:00", R"({"table":"t","id":"n","op":"delete","deletedAt":")" + at("08:00") + "\"}");
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_EQ(outcome.rows[0].op, operation::update);
    EXPECT_EQ(to_json_text(parse_stored_json(outcome.rows[0].field_meta)),
              R"({"deletedAt":")" + at("08:00") + "\"}");
}

TEST_F(merge, a_change_that_does_nothing_leaves_no_row_and_no_record) {
    EXPECT_TRUE(push("A", "09:00", update("")).rows.empty());
    EXPECT_TRUE(records_.empty());
}

// Homes.

TEST_F(merge, with_sharing_off_every_record_lives_with_its_author) {
    const auto outcome = push("A", "09:00", insert(R"("spaceId":"s1")"));
    ASSERT_EQ(outcome.rows.size(), 1U);
    EXPECT_EQ(outcome.rows[0].scope, "u:u");
    EXPECT_EQ(outcome.rows[0].heading.space, "s1");
}

TEST_F(merge, a_change_lives_in_the_space_it_names) {
    spaces_ = {"s1", "s2"};
    EXPECT_EQ(push("A", "09:00", insert(R"("spaceId":"s2")")).rows.at(0).scope, "s:s2");
    EXPECT_EQ(push("A", "09:00", insert(R"("spaceId":"_personal:anyone")", "m")).rows.at(0).scope, "u:u");
}

TEST_F(merge, a_record_keeps_its_home_whatever_a_later_change_says) {
    spaces_ = {"s1", "s2"};
    push("A", "09:00", insert(R"("spaceId":"_personal:u","f":1)"));
    EXPECT_EQ(push("A", "09:01", update(set("spaceId", "\"s1\"", "09:00"))).rows.at(0).scope, "u:u");
    push("A", "09:00", insert(R"("spaceId":"s2","f":1)", "m"));
    EXPECT_EQ(push("A", "09:01", update(set("f", "2", "09:00"), "m")).rows.at(0).scope, "s:s2");
}

TEST_F(merge, changes_of_one_push_meet_in_one_home) {
    spaces_ = {"s1"};
    const auto outcome =
        push("A", "09:00", insert(R"("spaceId":"s1","f":1)") + "," + update(set("f", "2", "08:59")));
    ASSERT_EQ(outcome.rows.size(), 2U);
    EXPECT_EQ(outcome.rows[1].scope, "s:s1");
}

TEST_F(merge, a_record_for_a_foreign_space_is_refused_there_and_its_authors_own) {
    spaces_ = {"s1"};
    const auto outcome =
        push("A", "09:00", insert(R"("spaceId":"s9","f":1)") + "," + insert(R"("f":1)", "m"));
    ASSERT_EQ(outcome.rejected.size(), 1U);
    EXPECT_EQ(outcome.rejected[0].code, "not_a_member");
    EXPECT_EQ(outcome.rejected[0].index, 0U);
    ASSERT_EQ(outcome.rows.size(), 2U);
    EXPECT_EQ(outcome.rows[0].scope, "u:u");
    EXPECT_EQ(outcome.rows[0].heading.space, "s9") << "as it was given";
    EXPECT_TRUE(outcome.lost.empty());

    const auto later = [&] { return update(set("f", "2", "09:00") + R"(},"spaceId":"s9","x":{)"); };
    EXPECT_EQ(push("A", "09:01", later()).rejected.size(), 1U) << "as often as it is written";
    spaces_ = {"s1", "s9"};
    const auto as_member = push("A", "09:02", later());
    EXPECT_TRUE(as_member.rejected.empty());
    EXPECT_EQ(as_member.rows.at(0).scope, "s:s9") << "and no more when the author has become a member";
}

TEST_F(merge, last_write_wins_across_the_authors_of_a_space) {
    spaces_ = {"s1"};
    push("A", "09:00", insert(R"("spaceId":"s1","f":1)"));
    push_as({"v", "A", spaces_}, "09:01", update(set("f", "2", "09:00")));
    EXPECT_EQ(to_json_text(record("s:s1").fields.at("f").value), "2");
    EXPECT_NE(find_hold(record("s:s1").fields.at("f").holds, "u", "A"), nullptr)
        << "a client id alone is no one";
}

} // namespace
} // namespace mana::sync
