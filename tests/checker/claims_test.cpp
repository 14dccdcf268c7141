// What claims allow a record to hold.
#include "tests/checker/claims.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

namespace mana::checker {
namespace {

using namespace std::chrono_literals;
using sync::instant;

instant at(int seconds) {
    return sync::epoch + 24h * 20'000 + std::chrono::seconds{seconds};
}

sync::json_value json(std::string_view text) {
    return sync::parse_stored_json(text);
}

class claims : public ::testing::Test {
  protected:
    record_claims made;

    /// Acknowledged by a request of that second.
    void write(const std::string& field, std::string_view value, span time, int request) {
        made.writes.push_back(
            {field, json(value), time, time.lo, at(request), "a/1", at(request), at(request)});
    }
    void write(const std::string& field, std::string_view value, int second) {
        write(field, value, {at(second), at(second)}, second);
    }
    void lost_write(const std::string& field, std::string_view value, int second) {
        made.writes.push_back({field,
                               json(value),
                               {at(second), at(second)},
                               at(second),
                               std::nullopt,
                               "b/1",
                               at(second),
                               std::nullopt});
    }
    void erase(int from, int to, bool acknowledged = true) {
        made.deletes.push_back({{at(from), at(to)}, at(to), acknowledged, "c/1"});
    }
    [[nodiscard]] bool allow(std::string_view record) const { return objections(made, json(record)).empty(); }
};

TEST_F(claims, the_latest_of_a_field_is_the_only_one) {
    write("f", "1", 10);
    write("f", "2", 20);
    EXPECT_TRUE(allow(R"({"f":2})"));
    EXPECT_FALSE(allow(R"({"f":1})"));
    EXPECT_FALSE(allow("{}"));
    EXPECT_FALSE(allow("null"));
}

TEST_F(claims, of_equal_times_either_may_stand_where_they_were_sent_together) {
    write("f", "1", 10);
    write("f", "2", 10);
    EXPECT_TRUE(allow(R"({"f":1})"));
    EXPECT_TRUE(allow(R"({"f":2})"));
}

TEST_F(claims, of_equal_times_the_one_already_there_stays) {
    write("f", "1", {at(10), at(10)}, 10);
    write("f", "2", {at(10), at(10)}, 20);
    EXPECT_TRUE(allow(R"({"f":1})"));
    EXPECT_FALSE(allow(R"({"f":2})"));
}

TEST_F(claims, times_that_may_overlap_leave_both) {
    write("f", "1", {at(10), at(20)}, 10);
    write("f", "2", {at(15), at(25)}, 15);
    write("f", "3", {at(5), at(14)}, 5);
    EXPECT_TRUE(allow(R"({"f":1})"));
    EXPECT_TRUE(allow(R"({"f":2})"));
    EXPECT_FALSE(allow(R"({"f":3})"));
}

TEST_F(claims, of_claims_too_far_ahead_only_a_later_one_leaves_no_other) {
    write("f", "1", {at(10), at(11)}, 10); // both were cut
    write("f", "2", {at(20), at(21)}, 20);
    made.writes[0].claimed = made.writes[1].claimed = at(1000);
    EXPECT_TRUE(allow(R"({"f":1})"));
    made.writes[1].claimed = at(1001);
    EXPECT_FALSE(allow(R"({"f":1})"));
    EXPECT_TRUE(allow(R"({"f":2})"));
}

TEST_F(claims, what_nobody_acknowledged_may_count_or_not) {
    write("f", "1", 10);
    lost_write("f", "2", 20);
    lost_write("f", "3", 5);
    lost_write("g", "4", 5);
    EXPECT_TRUE(allow(R"({"f":1})"));
    EXPECT_TRUE(allow(R"({"f":2})"));
    EXPECT_FALSE(allow(R"({"f":3})"));
    EXPECT_TRUE(allow(R"({"f":1,"g":4})"));
}

TEST_F(claims, a_value_or_a_field_that_nobody_claimed_is_refused) {
    write("f", "1", 10);
    EXPECT_FALSE(allow(R"({"f":9})"));
    EXPECT_FALSE(allow(R"({"f":1,"g":1})"));
}

TEST_F(claims, a_delete_takes_all_that_is_older) {
    write("f", "1", 10);
    erase(20, 21);
    EXPECT_TRUE(allow("null"));
    EXPECT_FALSE(allow(R"({"f":1})"));
}

TEST_F(claims, a_write_while_the_delete_is_on_its_way_may_count_or_not) {
    write("f", "1", {at(20), at(20)}, 20);
    erase(19, 21);
    EXPECT_TRUE(allow("null"));
    EXPECT_TRUE(allow(R"({"f":1})"));
}

TEST_F(claims, a_write_after_a_delete_revives_its_own_fields) {
    write("f", "1", 10);
    erase(20, 21);
    write("g", "2", 30);
    EXPECT_TRUE(allow(R"({"g":2})"));
    EXPECT_FALSE(allow(R"({"f":1,"g":2})"));
    EXPECT_FALSE(allow("null"));
}

TEST_F(claims, a_claim_ahead_of_its_time_may_have_been_taken_by_a_later_delete) {
    write("f", "1", {at(1000), at(1000)}, 10); // its clock is ahead
    erase(20, 21);
    EXPECT_TRUE(allow("null"));
    EXPECT_TRUE(allow(R"({"f":1})"));
    write("f", "2", {at(1001), at(1001)}, 30);
    EXPECT_TRUE(allow(R"({"f":2})"));
    EXPECT_FALSE(allow("null"));
}

TEST_F(claims, an_unacknowledged_delete_may_have_happened) {
    write("f", "1", 10);
    erase(20, 50, false);
    EXPECT_TRUE(allow(R"({"f":1})"));
    EXPECT_TRUE(allow("null"));
}

TEST_F(claims, what_lies_inside_an_object_must_be_later_than_it) {
    write("rec", R"({"d":1})", 10);
    write("rec.int", "2", 20);
    EXPECT_TRUE(allow(R"({"rec":{"d":1,"int":2}})"));
    EXPECT_FALSE(allow(R"({"rec":{"d":1}})"));
    write("rec", R"({"w":5})", 30);
    EXPECT_TRUE(allow(R"({"rec":{"w":5}})"));
    EXPECT_FALSE(allow(R"({"rec":{"w":5,"int":2}})"));
}

TEST_F(claims, of_claims_too_far_ahead_what_lies_inside_an_object_may_stand_though_it_was_cut_to_less) {
    write("rec", R"({"d":1})", {at(20), at(21)}, 10);
    write("rec.int", "2", {at(15), at(16)}, 15); // the server's clock was set back in between
    made.writes[0].claimed = at(1000);
    made.writes[1].claimed = at(1001);
    EXPECT_TRUE(allow(R"({"rec":{"d":1,"int":2}})"));
    made.writes[1].claimed = at(999);
    EXPECT_FALSE(allow(R"({"rec":{"d":1,"int":2}})"));
}

TEST_F(claims, a_path_makes_an_object_of_what_is_false_and_hides_in_what_is_true) {
    write("rec", "null", 10);
    write("rec.int", "2", 20);
    EXPECT_TRUE(allow(R"({"rec":{"int":2}})"));
    EXPECT_FALSE(allow("{}"));
    made = {};
    write("rec", R"("text")", 10);
    write("rec.int", "2", 20);
    EXPECT_TRUE(allow(R"({"rec":"text"})"));
    EXPECT_FALSE(allow(R"({"rec":{"int":2}})"));
}

TEST_F(claims, changes_are_read_as_what_they_claim) {
    const auto read = [](std::string_view text) { return claims_of(*json(text).as_object()); };
    const auto timed =
        read(R"({"op":"insert","data":{"id":"r","f":1,"createdAt":"2019-01-01T02:00:00+02:00"}})");
    ASSERT_EQ(timed.writes.size(), 2U);
    EXPECT_EQ(sync::to_text(timed.writes[1].at), "2019-01-01T00:00:00.000Z");
    EXPECT_EQ(read(R"({"op":"insert","data":{"f":1}})").writes[0].at, sync::epoch);
    EXPECT_TRUE(read(R"({"op":"delete"})").hard_delete);
    const auto soft = read(R"({"op":"delete","deletedAt":"2026-01-01T00:00:00.000Z","fields":{"deletedAt":)"
                           R"({"value":"2026-01-01T00:00:00.000Z","at":"2026-01-01T00:00:00.000Z"}}})");
    EXPECT_FALSE(soft.hard_delete);
    EXPECT_EQ(soft.writes.size(), 1U);
}

} // namespace
} // namespace mana::checker
