// JSON as text: values that are not looked into, objects member by member.
#include "shared/sync/json_text.hpp"

#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mana::sync {
namespace {

/// "name=value" of each member.
std::string members(std::string_view text) {
    std::string found;
    object_reader reader;
    for (reader.read(text); reader.next();)
        found.append(found.empty() ? "" : "; ").append(reader.name()).append("=").append(reader.value());
    return found;
}

TEST(sync_json_text, an_object_is_read_member_by_member) {
    EXPECT_EQ(members("{}"), "");
    EXPECT_EQ(members(" { } "), "");
    EXPECT_EQ(members(R"({"b": 1, "a": null})"), "b=1; a=null") << "in the order of the text";
    EXPECT_EQ(members(R"({"a":"x","b":[1, {"c": "]}"}],"d":{}})"), R"(a="x"; b=[1, {"c": "]}"}]; d={})");
    EXPECT_EQ(members(R"({"a":"\\","b":"\"","c":"\\\"}"})"), R"(a="\\"; b="\""; c="\\\"}")");
    EXPECT_EQ(members(R"({"":"","\u00e4\"":-1.5e3})"), "=\"\"; \u00e4\"=-1.5e3") << "names are read";
}

TEST(sync_json_text, what_is_no_object_throws) {
    for (const auto* text : {"",
                             " ",
                             "[]",
                             "1",
                             "{",
                             "{\"a",
                             "{\"a\"",
                             "{\"a\"}",
                             "{\"a\":",
                             "{\"a\":}",
                             "{\"a\":1",
                             "{\"a\":\"",
                             "{\"a\":\"\\\"",
                             "{\"a\":[",
                             "{\"a\":[}",
                             "{\"a\":1,",
                             "{\"a\":1 \"b\":2}",
                             "{,\"a\":1}",
                             "{a:1}",
                             "{}x",
                             "{\"a\":1}x"})
        EXPECT_THROW(members(text), std::invalid_argument) << text;
}

TEST(sync_json_text, what_is_written_is_read) {
    std::string text = "before ";
    object_writer outer(text);
    outer.member("a") += "1";
    object_writer inner(outer.member("{"));
    inner.member("\"") += "\"{\"";
    inner.close();
    outer.member("b") += "2";
    outer.close();
    EXPECT_EQ(text, R"(before {"a":1,"{":{"\"":"{"},"b":2})");
}

TEST(sync_json_text, values_are_compared_as_jsonb_compares_them) {
    const auto same = [](std::string_view left, std::string_view right) {
        return value_text::written(left).is_same(value_text::written(right));
    };
    EXPECT_TRUE(same("1.0", "1"));
    EXPECT_TRUE(same(R"({"a":[1,2],"b":"\u0061"})", R"({"b": "a", "a": [1, 2]})"));
    EXPECT_FALSE(same("1", "\"1\""));
    EXPECT_TRUE(same("null", value_text{}.text));
}

TEST(sync_json_text, a_string_is_read_from_its_text) {
    EXPECT_EQ(read_json_string(R"("a\nb")"), "a\nb");
    EXPECT_EQ(read_json_string("\"\""), "");
    for (const auto* text : {"", "\"", "1", "null", "\"\\\"", "{}"})
        EXPECT_THROW((void)read_json_string(text), std::invalid_argument) << text;
}

TEST(sync_json_text, the_size_in_the_table_counts_what_jsonb_writes_out) {
    EXPECT_EQ(stored_text_size(R"({"a": 1})"), stored_text_size(R"({"a":1})") + 1)
        << "spaces count where they are";
    EXPECT_GE(stored_text_size(R"({"a":1e308})"), 309U);
    EXPECT_GE(stored_text_size("[1e308,1e308]"), 618U);
    EXPECT_LE(stored_text_size(R"({"a":"1e308"})"), 16U) << "in a string it is text";
    EXPECT_GE(stored_text_size("1e-300"), 300U);
}

} // namespace
} // namespace mana::sync
