// Values are stored and shown as they came, and what can't be stored is found (SPEC §3 rule 2, §6).
#include "shared/sync/json.hpp"

#include <gtest/gtest.h>
#include <string>

namespace mana::sync {
namespace {

constexpr std::size_t depth = 10;

json_value read(std::string_view text) {
    auto parsed = parse_json(text, depth);
    EXPECT_TRUE(parsed) << text << ": " << parsed.error().message;
    return parsed ? *parsed : json_value{};
}

std::string again(std::string_view text) {
    return to_json_text(read(text));
}

TEST(sync_json, numbers_keep_their_digits) {
    for (const auto* text :
         {"0", "-0", "1.0", "9007199254740993", "18446744073709551616", "-123456789012345678901234567890",
          "0.1000000000000000055511151231257827", "1e-300", "1E+5", "5e-324"})
        EXPECT_EQ(again(text), text);
}

TEST(sync_json, keys_are_sorted_and_of_equal_ones_the_last_stays) {
    EXPECT_EQ(again(R"({"b":1,"a":2,"b":3})"), R"({"a":2,"b":3})");
}

TEST(sync_json, texts_survive_escapes) {
    EXPECT_EQ(again(R"("a\"b\\c\ndé😀\/")"), "\"a\\\"b\\\\c\\nd\xc3\xa9\xf0\x9f\x98\x80/\"");
    EXPECT_EQ(again("\"\\u0001\""), "\"\\u0001\"");
}

TEST(sync_json, a_lone_surrogate_becomes_the_replacement_character) {
    const std::string replacement = "\xef\xbf\xbd";
    EXPECT_EQ(*read(R"("\ud83d")").as_string(), replacement);
    EXPECT_EQ(*read(R"("\ude00x")").as_string(), replacement + "x");
    EXPECT_EQ(*read(R"("\ud83d\ud83d\ude00")").as_string(), replacement + "\xf0\x9f\x98\x80");
    EXPECT_EQ(*read(R"("\ud83dA")").as_string(), replacement + "A");
    EXPECT_EQ(*read(R"("\\ud83d")").as_string(), "\\ud83d") << "an escaped backslash starts no escape";
    EXPECT_EQ(again(R"({"\udc00":1})"), "{\"" + replacement + "\":1}");
}

TEST(sync_json, what_is_no_json_says_where) {
    for (const auto* text : {"", "{", "[1,]", "{} x", "{\"a\":}", "nul", "\"\x80\"", "01", "NaN", "'a'"})
        EXPECT_FALSE(parse_json(text, depth)) << text;
    EXPECT_NE(parse_json("[1,]", depth).error().message.find("at byte 3"), std::string::npos);
}

TEST(sync_json, only_the_value_that_is_too_deep_is_marked) {
    const std::string deep = std::string(50, '[') + "\"]\\\"\"" + std::string(50, ']');
    const auto value = read(R"({"deep":)" + deep + R"(,"good":[1]})");
    EXPECT_EQ(find_fault(*find_member(*value.as_object(), "deep")), json_fault::too_deep);
    EXPECT_EQ(find_fault(*find_member(*value.as_object(), "good")), json_fault::none);
}

TEST(sync_json, the_deepest_allowed_level_is_allowed) {
    EXPECT_EQ(find_fault(read(std::string(depth, '[') + std::string(depth, ']'))), json_fault::none);
    EXPECT_EQ(find_fault(read(std::string(depth + 1, '[') + std::string(depth + 1, ']'))),
              json_fault::too_deep);
}

TEST(sync_json, a_body_of_brackets_alone_is_read_without_recursion) {
    EXPECT_FALSE(parse_json(std::string(5'000'000, '['), depth));
    EXPECT_TRUE(parse_json(std::string(1'000'000, '[') + std::string(1'000'000, ']'), depth));
}

TEST(sync_json, faults_are_found_wherever_they_stand) {
    EXPECT_EQ(find_fault(read("\"a\\u0000b\"")), json_fault::nul_character);
    EXPECT_EQ(find_fault(read("{\"a\\u0000\":1}")), json_fault::nul_character);
    EXPECT_EQ(find_fault(read("[{\"a\":[\"\\u0000\"]}]")), json_fault::nul_character);
    EXPECT_EQ(find_fault(read("[1e400]")), json_fault::number_out_of_range);
    EXPECT_EQ(find_fault(read("-1e309")), json_fault::number_out_of_range);
    EXPECT_EQ(find_fault(read("1e-400000")), json_fault::number_out_of_range);
    for (const auto* text : {"1.7976931348623157e308", "0e999", "123456789012345678901234567890", "5e-324"})
        EXPECT_EQ(find_fault(read(text)), json_fault::none) << text;
}

TEST(sync_json, a_zero_that_jsonb_could_not_write_out_is_a_fault_as_well) {
    for (const auto& text :
         {std::string("0e-16384"), std::string("-0.0e-20000"), "0." + std::string(15'990, '0') + "e-400"})
        EXPECT_EQ(find_fault(read(text)), json_fault::number_out_of_range) << text;
    for (const auto* text : {"0e-16383", "0.00e-16381", "0.0", "0e2000000000"})
        EXPECT_EQ(find_fault(read(text)), json_fault::none) << text;
}

TEST(sync_json, an_exponent_beyond_an_int_is_a_fault_of_its_number_alone) {
    for (const auto* text :
         {"1e2147483648", "-1.5E+99999999999999999999", "1e-99999999999", "0e-99999999999"})
        EXPECT_EQ(find_fault(read(text)), json_fault::number_out_of_range) << text;
    EXPECT_EQ(again("[1e0000000000000000000005,\"1e99999999999\",0e99999999999,true]"),
              "[1e5,\"1e99999999999\",0e999999999,true]");
    EXPECT_EQ(again("1e-00000000000"), "1e-0");
    EXPECT_FALSE(parse_json("truee99999999999", depth));
}

TEST(sync_json, equality_is_that_of_jsonb) {
    const auto equal = [](std::string_view a, std::string_view b) { return same(read(a), read(b)); };
    EXPECT_TRUE(equal("1", "1.0"));
    EXPECT_TRUE(equal("100", "1e2"));
    EXPECT_TRUE(equal("0", "-0.0"));
    EXPECT_TRUE(equal(R"({"a":1,"b":[2]})", R"({"b":[2.0],"a":1})"));
    EXPECT_FALSE(equal("1", "-1"));
    EXPECT_FALSE(equal("1", "10"));
    EXPECT_FALSE(equal("9007199254740993", "9007199254740992"));
    EXPECT_FALSE(equal("1", "\"1\""));
    EXPECT_FALSE(equal("[1,2]", "[2,1]"));
    EXPECT_FALSE(equal(R"({"a":null})", "{}"));
}

TEST(sync_json, exponents_count_as_the_digits_that_jsonb_writes_out) {
    EXPECT_GE(stored_size(read("1e308")), 309U);
    EXPECT_GE(stored_size(read("[1e308,1e308]")), 618U);
    EXPECT_LE(stored_size(read("12")), 4U);
}

TEST(sync_json, truth_is_that_of_javascript) {
    for (const auto* text : {"null", "false", "0", "-0.0", "\"\""}) EXPECT_FALSE(truthy(read(text))) << text;
    for (const auto* text : {"true", "1", "\"0\"", "[]", "{}"}) EXPECT_TRUE(truthy(read(text))) << text;
}

TEST(sync_json, a_set_member_keeps_the_order_of_keys) {
    json_object object;
    for (const auto* key : {"b", "c", "a", "b"}) set_member(object, key, std::string(key));
    EXPECT_EQ(to_json_text(json_value{object}), R"({"a":"a","b":"b","c":"c"})");
    EXPECT_EQ(find_member(object, "d"), nullptr);
}

} // namespace
} // namespace mana::sync
