// The shape of log lines.
#include "shared/runtime/log.hpp"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <gtest/gtest.h>
#include <limits>
#include <regex>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace mana::runtime::log {
namespace {

using namespace std::chrono_literals;

TEST(log_line, holds_level_event_and_fields_in_order) {
    const std::string app = "todo";
    EXPECT_EQ(format(level::info, "push_stored", {{"app", app}, {"changes", 3}, {"retried", false}}),
              "level=info event=push_stored app=todo changes=3 retried=false");
    EXPECT_EQ(format(level::warn, "redis_down", {}), "level=warn event=redis_down");
}

TEST(log_line, writes_whole_numbers_of_every_width) {
    EXPECT_EQ(format(level::error, "e",
                     {{"a", std::numeric_limits<std::int64_t>::min()},
                      {"b", std::numeric_limits<std::uint64_t>::max()},
                      {"c", std::uint8_t{7}},
                      {"d", std::size_t{8}}}),
              "level=error event=e a=-9223372036854775808 b=18446744073709551615 c=7 d=8");
}

TEST(log_line, quotes_what_would_break_a_field) {
    EXPECT_EQ(format(level::debug, "e",
                     {{"a", ""}, {"b", "x y"}, {"c", "x=y"}, {"d", "say \"hi\""}, {"e", "back\\slash"}}),
              R"(level=debug event=e a="" b="x y" c="x=y" d="say \"hi\"" e="back\\slash")");
}

TEST(log_line, stays_one_line_whatever_a_value_holds) {
    using namespace std::string_view_literals;
    EXPECT_EQ(format(level::info, "e", {{"a", "x\nlevel=error\r\t\0\x1b[31m\x7f"sv}}),
              R"(level=info event=e a="x\nlevel=error\r\t\u0000\u001b[31m\u007f")");
}

TEST(log_line, keeps_text_beyond_ascii) {
    EXPECT_EQ(format(level::info, "e", {{"a", "gr\xc3\xbcn"}}), "level=info event=e a=gr\xc3\xbcn");
}

TEST(log_line, cuts_a_long_value_between_characters) {
    const std::string text = std::string(max_value_bytes - 1, 'x') + "\xc3\xbc and more";
    EXPECT_EQ(format(level::info, "e", {{"a", text}}),
              "level=info event=e a=" + std::string(max_value_bytes - 1, 'x') + "...");
}

// In a process of its own, for a log finds out once where it goes.
TEST(log_output, begins_with_its_priority_where_the_journal_reads_it) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto log_to_journal = [] {
        struct stat opened {};
        ::fstat(STDERR_FILENO, &opened);
        const auto stream = std::to_string(opened.st_dev) + ":" + std::to_string(opened.st_ino);
        ::setenv("JOURNAL_STREAM", stream.c_str(), 1);
        warn("redis_down", {{"suppressed", 3}});
        ::_exit(0);
    };
    EXPECT_EXIT(log_to_journal(), testing::ExitedWithCode(0),
                "^<4>level=warn event=redis_down suppressed=3\n$");
}

TEST(log_output, is_one_line_on_stderr_with_the_time_in_utc) {
    testing::internal::CaptureStderr();
    info("started", {{"port", 3050}});
    const std::string line = testing::internal::GetCapturedStderr();
    const std::regex shape{
        R"(time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z pid=\d+ level=info event=started port=3050\n)"};
    EXPECT_TRUE(std::regex_match(line, shape)) << line;
}

TEST(log_output, leaves_out_what_lies_below_the_level) {
    testing::internal::CaptureStderr();
    debug("unseen");
    set_level(level::warn);
    info("unseen");
    warn("seen");
    error("seen");
    set_level(level::info);
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_EQ(lines.find("unseen"), std::string::npos) << lines;
    EXPECT_NE(lines.find("level=warn event=seen\n"), std::string::npos) << lines;
    EXPECT_NE(lines.find("level=error event=seen\n"), std::string::npos) << lines;
}

TEST(log_limiter, lets_one_line_through_per_interval_and_counts_the_rest) {
    limiter redis_down{10s};
    const std::chrono::steady_clock::time_point start{};
    EXPECT_EQ(redis_down.admit(start), 0U);
    for (int i = 1; i < 10; ++i) EXPECT_EQ(redis_down.admit(start + i * 1s), std::nullopt);
    EXPECT_EQ(redis_down.admit(start + 10s), 9U);
    EXPECT_EQ(redis_down.admit(start + 30s), 0U);
}

} // namespace
} // namespace mana::runtime::log
