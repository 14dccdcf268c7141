// The cursor that a client is handed and sends back (SPEC §4).
#include "shared/sync/cursor.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <string>

namespace mana::sync {
namespace {

using namespace std::chrono_literals;

position at(std::string_view second, std::chrono::microseconds fraction) {
    return position{*parse_instant(second)} + fraction;
}

TEST(sync_cursor, comes_back_as_it_was_handed_out) {
    for (const auto micros : {0us, 1us, 123456us, 999999us})
        for (const bool from_epoch : {false, true}) {
            const cursor handed{at("2026-01-31T09:00:00Z", micros), from_epoch};
            EXPECT_EQ(parse_since(to_text(handed)), handed) << to_text(handed);
        }
}

TEST(sync_cursor, that_stays_before_what_is_shown_again_comes_back_too) {
    const auto stays = at("2026-01-31T09:00:00Z", 123456us);
    for (const bool one_table : {false, true})
        for (const std::optional<std::chrono::seconds> due :
             {std::optional<std::chrono::seconds>{}, {0s}, {86'399s}}) {
            const cursor handed{
                .at = stays, .shown_until = stays + 90s, .due_since = due, .one_table = one_table};
            EXPECT_EQ(parse_since(to_text(handed)), handed) << to_text(handed);
            EXPECT_LT(to_text(handed), to_text(cursor{stays + 1us})) << "texts sort as positions";
            EXPECT_GT(to_text(handed), to_text(cursor{stays - 1us}));
        }
}

TEST(sync_cursor, with_other_digits_behind_the_sixth_is_another_hosts) {
    for (const auto* digits : {"20", "3", "30", "300000000000000000x0", "5000000000000999990"})
        EXPECT_FALSE(parse_since("2026-01-31T09:00:10.123456" + std::string(digits) + "Z").shown_until)
            << digits;
    EXPECT_EQ(parse_since("2026-01-31T09:00:10.12345620Z").at, at("2026-01-31T09:00:00Z", 123456us));
}

TEST(sync_cursor, a_clock_in_its_place_has_three_digits) {
    EXPECT_EQ(clock_in_since("2026-01-31T09:00:10.123Z"), parse_instant("2026-01-31T09:00:10.123Z"));
    EXPECT_FALSE(clock_in_since("2026-01-31T09:00:10.123456Z"));
    EXPECT_FALSE(clock_in_since("2026-01-31T09:00:10.123+01:00"));
}

TEST(sync_cursor, has_six_digits) {
    EXPECT_EQ(to_text(cursor{at("2026-01-31T09:00:00Z", 42us)}), "2026-01-31T09:00:00.000042Z");
}

TEST(sync_cursor, texts_sort_as_positions) {
    const auto start = at("2026-01-31T08:59:59Z", 999990us);
    for (int i = 0; i < 20; ++i) {
        const cursor earlier{start + i * 1us, true};
        const cursor later{start + (i + 1) * 1us, false};
        EXPECT_LT(to_text(earlier), to_text(later));
    }
}

TEST(sync_cursor, an_empty_or_unreadable_one_is_the_epoch) {
    for (const auto* text : {"", "now", "2026-01-31", "2026-01-31T09:00:00.123456789012Zx"}) {
        EXPECT_EQ(parse_since(text).at, position{}) << text;
        EXPECT_TRUE(parse_since(text).from_epoch) << text;
    }
    EXPECT_TRUE(parse_since("1970-01-01T00:00:00.000Z").from_epoch);
}

TEST(sync_cursor, another_form_is_read_ten_seconds_earlier) {
    EXPECT_EQ(parse_since("2026-01-31T09:00:10.123456789Z").at, at("2026-01-31T09:00:00Z", 123456us));
    EXPECT_EQ(parse_since("2026-01-31T09:00:10.5Z").at, at("2026-01-31T09:00:00Z", 500000us));
    EXPECT_EQ(parse_since("2026-01-31T09:00:10.123Z").at, at("2026-01-31T09:00:00Z", 123000us));
    EXPECT_EQ(parse_since("2026-01-31T11:00:10.123456+02:00").at, at("2026-01-31T09:00:00Z", 123456us));
    EXPECT_FALSE(parse_since("2026-01-31T09:00:10.123Z").from_epoch);
}

TEST(sync_cursor, nothing_is_before_the_epoch) {
    EXPECT_EQ(parse_since("1969-01-01T00:00:00.000000Z").at, position{});
    EXPECT_EQ(parse_since("1970-01-01T00:00:05Z").at, position{});
}

TEST(sync_cursor, one_that_an_offset_carries_beyond_the_last_year_comes_back_too) {
    const auto read = parse_since("9999-12-31T23:59:59.123456-10:00");
    EXPECT_EQ(to_text(read), "9999-12-31T23:59:59.999999Z");
    EXPECT_EQ(parse_since(to_text(read)), read);
}

} // namespace
} // namespace mana::sync
