// What a record holds at a path (SPEC §3 rule 4), and what it takes to find it.
#include "shared/sync/value_reader.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <string_view>

namespace mana::sync {
namespace {

instant time(std::string_view text) {
    return *parse_instant(text);
}

held_field field(std::string_view value, std::string_view at) {
    held_field held;
    held.value = parse_stored_json(value);
    held.claimed = time(at);
    held.compared = held.shown = *held.claimed;
    held.user = "u";
    held.client = "A";
    return held;
}

constexpr std::string_view nine = "2026-01-31T09:00:00.000Z";
constexpr std::string_view ten = "2026-01-31T10:00:00.000Z";

TEST(sync_value_reader, a_value_is_found_at_its_path_inside_and_around_it) {
    record_state state;
    state.fields["rec"] = field(R"({"unit":"d","int":1})", nine);
    state.fields["rec.int"] = field("2", ten);
    state.fields["rec-x"] = field("3", nine);
    EXPECT_EQ(to_json_text(value_at(state, "rec")), R"({"int":2,"unit":"d"})");
    EXPECT_EQ(to_json_text(value_at(state, "rec.int")), "2");
    EXPECT_EQ(to_json_text(value_at(state, "rec.unit")), "\"d\"");
    EXPECT_TRUE(value_at(state, "rec.none").is_null());
    EXPECT_TRUE(value_at(state, "none").is_null());
}

TEST(sync_value_reader, a_path_is_set_as_a_client_sets_it) {
    record_state state;
    state.fields["null"] = field("null", nine);
    state.fields["null.in"] = field("1", ten);
    state.fields["empty"] = field("\"\"", nine);
    state.fields["empty.in"] = field("1", ten);
    state.fields["list"] = field("[1,2]", nine);
    state.fields["list.1"] = field("9", ten);
    state.fields["text"] = field("\"t\"", nine);
    state.fields["text.in"] = field("1", ten);
    for (const auto* name : {"null", "empty"})
        EXPECT_EQ(to_json_text(value_at(state, name)), R"({"in":1})")
            << "what is false on the way becomes an object";
    EXPECT_EQ(to_json_text(value_at(state, "list")), "[1,9]");
    EXPECT_EQ(to_json_text(value_at(state, "text")), "\"t\"") << "another value stays";
    EXPECT_EQ(to_json_text(value_at(state, "text.in")), "1") << "what is held there is held, shown or not";
}

/// "a" and as many steps inside it.
std::string path_of(std::size_t steps) {
    std::string path = "a";
    for (std::size_t i = 0; i < steps; ++i) path += ".b";
    return path;
}

TEST(sync_value_reader, a_name_of_any_length_that_is_stored_already_is_survived) {
    record_state state;
    state.fields["a"] = field("0", nine);
    state.fields["a.c"] = field("7", ten);
    state.fields[path_of(200'000)] = field("1", ten);
    EXPECT_EQ(to_json_text(value_at(state, "a")), R"({"c":7})") << "no value is made as deep as that";
    EXPECT_EQ(to_json_text(value_at(state, path_of(200'000))), "1");
    EXPECT_EQ(to_json_text(value_at(state, path_of(199'999))), R"({"b":1})");
    EXPECT_TRUE(value_at(state, path_of(200'001)).is_null());
}

TEST(sync_value_reader, a_path_as_long_as_a_push_may_name_is_a_part_of_what_lies_around_it) {
    record_state state;
    state.fields["a"] = field("{}", nine);
    state.fields[path_of(most_levels - 1)] = field("1", ten);
    const auto text = to_json_text(value_at(state, "a"));
    EXPECT_EQ(text.size(), std::string_view(R"({"b":})").size() * (most_levels - 1) + 1) << text;
}

TEST(sync_value_reader, members_come_together_in_the_order_of_their_names) {
    record_state state;
    state.fields["a"] = field(R"({"b":1,"d":{"x":1},"f":1})", nine);
    for (const auto* name : {"a.a", "a.b", "a.b-c", "a.d.y", "a.g.h.i"}) state.fields[name] = field("2", ten);
    EXPECT_EQ(to_json_text(value_at(state, "a")),
              R"({"a":2,"b":2,"b-c":2,"d":{"x":1,"y":2},"f":1,"g":{"h":{"i":2}}})");
}

TEST(sync_value_reader, an_array_grows_by_its_next_items_only) {
    record_state state;
    state.fields["a"] = field("[0]", nine);
    for (const auto* name : {"a.1", "a.2", "a.9", "a.x", "a.3.in"}) state.fields[name] = field("2", ten);
    EXPECT_EQ(to_json_text(value_at(state, "a")), R"([0,2,2,{"in":2}])");
}

TEST(sync_value_reader, looks_at_no_more_bytes_than_it_was_given) {
    record_state state;
    state.fields["a"] = field(R"({"b":{"c":"0123456789"}})", nine);
    state.fields["own"] = field("\"0123456789\"", nine);
    value_reader reader(60);
    EXPECT_EQ(reader.at(state, "a.b").value().text, R"({"c":"0123456789"})") << "24 to read, 18 to tell";
    EXPECT_EQ(reader.at(state, "a.b.c").value().text, "\"0123456789\"") << "read before, 12 to tell";
    EXPECT_FALSE(reader.at(state, "a.b.c").has_value());
    EXPECT_EQ(reader.at(state, "own").value().text, "\"0123456789\"") << "a field's own value takes none";
}

TEST(sync_value_reader, what_is_forgotten_is_read_anew) {
    record_state state;
    state.fields["a"] = field(R"({"b":1})", nine);
    value_reader reader(std::numeric_limits<std::size_t>::max());
    EXPECT_EQ(reader.at(state, "a.b").value().text, "1");
    reader.forget(state.fields.at("a"));
    state.fields.at("a") = field(R"({"b":2})", nine);
    EXPECT_EQ(reader.at(state, "a.b").value().text, "2");
}

} // namespace
} // namespace mana::sync
