// The env file as systemd reads it, and what of the settings may be shown.
#include "admin/env_file.hpp"
#include "admin/secrets.hpp"
#include "admin/settings.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace mana::admin {
namespace {

TEST(env_file, has_one_assignment_a_line) {
    EXPECT_EQ(parse_env_file("A=1\nB=two words \n C = x\nD=\n"),
              (assignments{{"A", "1"}, {"B", "two words"}, {"C", "x"}, {"D", ""}}));
    EXPECT_EQ(parse_env_file("A=1"), (assignments{{"A", "1"}}));
    EXPECT_EQ(parse_env_file("A=1\r\nB=2\r\n"), (assignments{{"A", "1"}, {"B", "2"}}));
    EXPECT_EQ(parse_env_file(""), assignments{});
}

TEST(env_file, keeps_what_follows_the_first_equals_sign) {
    EXPECT_EQ(parse_env_file("URL=postgresql://a:b@h/d?x=1#y\n"),
              (assignments{{"URL", "postgresql://a:b@h/d?x=1#y"}}));
}

TEST(env_file, skips_comments_empty_lines_and_what_is_no_assignment) {
    EXPECT_EQ(parse_env_file("# A=1\n  ; B=2\n\n\t\nnothing\nexport C=3\n1D=4\nE=5\n"),
              (assignments{{"E", "5"}}));
}

TEST(env_file, goes_on_with_a_comment_that_ends_in_a_backslash) {
    EXPECT_EQ(parse_env_file("# more \\\nA=1\nB=2\n"), (assignments{{"B", "2"}}));
}

TEST(env_file, takes_single_quotes_as_they_are) {
    EXPECT_EQ(parse_env_file(R"(A=' a\n"$ '
B='two
lines')"),
              (assignments{{"A", R"( a\n"$ )"}, {"B", "two\nlines"}}));
}

TEST(env_file, knows_four_escapes_in_double_quotes) {
    EXPECT_EQ(parse_env_file(R"(A="\"\\\`\$ \n ")"), (assignments{{"A", R"("\`$ \n )"}}));
    EXPECT_EQ(parse_env_file("A=\"one \\\nline\"\n"), (assignments{{"A", "one line"}}));
}

TEST(env_file, drops_a_backslash_outside_of_quotes) {
    EXPECT_EQ(parse_env_file("A=a\\ \nB=\\#x\\\\\n"), (assignments{{"A", "a "}, {"B", "#x\\"}}));
}

TEST(env_file, joins_lines_at_a_backslash) {
    EXPECT_EQ(parse_env_file("A=one,\\\ntwo\nB=3\n"), (assignments{{"A", "one,two"}, {"B", "3"}}));
    EXPECT_EQ(parse_env_file("A=one\\"), (assignments{{"A", "one"}}));
}

TEST(env_file, puts_quoted_pieces_together) {
    EXPECT_EQ(parse_env_file("A='a'\"b\"c\n"), (assignments{{"A", "abc"}}));
    EXPECT_EQ(parse_env_file("A=it's\n"), (assignments{{"A", "it's"}}));
}

TEST(env_file, is_read_to_its_end_whatever_it_holds) {
    EXPECT_EQ(parse_env_file("A='open\nB=1\n"), (assignments{{"A", "open\nB=1\n"}}));
    EXPECT_EQ(parse_env_file("A=\"open\\"), (assignments{{"A", "open\\"}}));
    EXPECT_EQ(parse_env_file("#\\"), assignments{});
}

TEST(secrets, are_masked_in_every_form_of_a_database_url) {
    EXPECT_EQ(masked("DATABASE_URL", "postgresql://mana:hush@db:5432/mana_sync"),
              "user=mana dbname=mana_sync host=db port=5432 password=***");
    for (const char* const value :
         {"postgresql://mana@db/x?password=hush", "host=db password='hush hush'",
          "postgresql://mana:hu%73h@db/x", "host=db password=hush sslpassword=hush"})
        EXPECT_EQ(masked("DATABASE_URL", value).find("hush"), std::string::npos) << value;
    EXPECT_EQ(masked("DATABASE_URL", "password=hush what"), "***");
}

TEST(secrets, are_masked_in_urls_and_keys) {
    EXPECT_EQ(masked("REDIS_URL", "redis://me:hush@cache:6379/2"), "redis://me:***@cache:6379/2");
    EXPECT_EQ(masked("JWKS_URL", "https://hush@keys/"), "https://***@keys/");
    EXPECT_EQ(masked("JWKS_URL", "https://keys/jwks?key=hush#hush"), "https://keys/jwks?***");
    EXPECT_EQ(masked("JWKS_URL", "https://ann:12/hush@keys/jwks"),
              "***"); // a / that should have been escaped
    EXPECT_EQ(masked("JWKS_URL", "https://ann:hush@keys/@me"), "***");
    EXPECT_EQ(masked("JWKS_URL", "https://keys/jwks"), "https://keys/jwks");
    EXPECT_EQ(masked("MANA_SERVICE_KEY", "hush"), "***");
    EXPECT_EQ(masked("KEYS_FILE", "/run/mana-sync/keys.json"), "/run/mana-sync/keys.json");
    EXPECT_EQ(masked("MANA_AUTH_URL", ""), "");
}

} // namespace
} // namespace mana::admin
