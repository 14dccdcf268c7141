// What waits to be told to one WebSocket, and that it stays small.
#include "ws_hub/waiting_news.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

namespace mana::hub {
namespace {

using names = std::set<std::string>;

std::vector<std::string> tables(int count, const std::string& prefix = "t") {
    std::vector<std::string> made;
    for (int i = 0; i < count; ++i) made.push_back(prefix + std::to_string(i));
    return made;
}

TEST(waiting_news, are_merged_by_app) {
    waiting_news news;
    EXPECT_TRUE(news.empty());
    news.add("todo", {"tasks"});
    news.add("notes", {"pages"});
    news.add("todo", {"lists", "tasks"});
    EXPECT_EQ(news.take(), std::pair(std::string("notes"), names{"pages"}));
    EXPECT_EQ(news.take(), std::pair(std::string("todo"), names{"lists", "tasks"}));
    EXPECT_TRUE(news.empty());
}

TEST(waiting_news, of_too_many_tables_are_pull_everything_of_that_app) {
    waiting_news news;
    news.add("notes", {"pages"});
    news.add("todo", tables(999));
    news.add("todo", {"one too many"});
    news.add("todo", {"tasks"});
    EXPECT_EQ(news.take(), std::pair(std::string("notes"), names{"pages"}));
    EXPECT_EQ(news.take(), std::pair(std::string("todo"), names{"*", "tasks"}));
}

TEST(waiting_news, of_too_many_apps_are_pull_everything) {
    waiting_news news;
    for (const auto& app : tables(1'000, "app")) news.add(app, {"tasks"});
    news.add("one too many", {"tasks"});
    news.add("todo", {"tasks"});
    EXPECT_EQ(news.take(), std::pair(std::string("*"), names{"*", "tasks"}));
    EXPECT_TRUE(news.empty());
}

TEST(waiting_news, has_room_again_for_what_was_taken_or_cleared) {
    waiting_news news;
    news.add("todo", tables(1'000));
    EXPECT_EQ(news.take().second.size(), 1'000U);
    news.add("todo", tables(1'000));
    news.clear();
    news.add("todo", tables(1'000));
    EXPECT_EQ(news.take().second.size(), 1'000U);
}

} // namespace
} // namespace mana::hub
