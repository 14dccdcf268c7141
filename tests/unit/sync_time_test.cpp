// One form of time (SPEC §3 rule 2).
#include "shared/sync/time.hpp"

#include <gtest/gtest.h>
#include <string>

namespace mana::sync {
namespace {

std::string normal(std::string_view text) {
    const auto time = parse_instant(text);
    return time ? to_text(*time) : "none";
}

TEST(sync_time, a_browser_time_stays_as_it_is) {
    EXPECT_EQ(normal("2026-01-31T09:00:00.123Z"), "2026-01-31T09:00:00.123Z");
}

TEST(sync_time, offsets_are_resolved) {
    EXPECT_EQ(normal("2026-01-31T01:00:00.5+02:00"), "2026-01-30T23:00:00.500Z");
    EXPECT_EQ(normal("2026-12-31T23:00:00-05:30"), "2027-01-01T04:30:00.000Z");
}

TEST(sync_time, no_zone_is_utc) {
    EXPECT_EQ(normal("2026-01-31T09:00:00"), "2026-01-31T09:00:00.000Z");
}

TEST(sync_time, finer_digits_are_cut_and_missing_ones_are_zero) {
    EXPECT_EQ(normal("2026-01-31T09:00:00.123999999Z"), "2026-01-31T09:00:00.123Z");
    EXPECT_EQ(normal("2026-01-31T09:00:00.1Z"), "2026-01-31T09:00:00.100Z");
}

TEST(sync_time, letters_may_be_small) {
    EXPECT_EQ(normal("2026-01-31t09:00:00z"), "2026-01-31T09:00:00.000Z");
}

TEST(sync_time, times_before_1970_keep_their_order) {
    EXPECT_EQ(normal("1969-12-31T23:59:59.999Z"), "1969-12-31T23:59:59.999Z");
    EXPECT_LT(*parse_instant("1969-12-31T23:59:59.999Z"), epoch);
}

TEST(sync_time, what_is_no_time_is_none) {
    for (const auto* text :
         {"", "yesterday", "2026-01-31", "2026-02-30T09:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T09:00Z",
          "2026-01-31T09:00:00.Z", "2026-01-31T09:00:00+2:00", "2026-01-31T09:00:00+24:00",
          "2026-01-31T09:00:00Z ", " 2026-01-31T09:00:00Z", "2026-13-01T09:00:00Z", "+02026-01-31T09:00:00Z",
          "2026-01-31 09:00:00Z", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"})
        EXPECT_EQ(normal(text), "none") << text;
}

TEST(sync_time, a_claim_leaves_room_for_later_shown_times) {
    EXPECT_TRUE(parse_claim("9998-12-31T23:59:59.999Z"));
    EXPECT_FALSE(parse_claim("9999-01-01T00:00:00.000Z"));
}

TEST(sync_time, texts_sort_as_times) {
    const instant start = *parse_instant("2025-12-31T23:59:59.990Z");
    for (int i = 0; i < 30; ++i)
        EXPECT_LT(to_text(start + std::chrono::milliseconds{i}),
                  to_text(start + std::chrono::milliseconds{i + 1}));
}

} // namespace
} // namespace mana::sync
