// A record's state, stored and read back, and which of its fields lie around and inside a path.
#include "shared/sync/record.hpp"

#include <array>
#include <gtest/gtest.h>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

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

TEST(sync_record, comes_back_as_it_was_stored) {
    record_state state;
    state.fields["plain"] = field("1.50", nine);
    auto& odd = state.fields["rec.int"] = field(R"({"a":[null]})", nine);
    odd.compared = time(ten);
    odd.shown = time("2026-01-31T11:00:00.000Z");
    odd.holds = {{"ann", "phone", time("2026-01-31T12:00:00.000Z"), time("2026-01-31T12:01:00.000Z"), {}},
                 {"bob", "desk", time("2026-01-31T12:02:00.000Z"), time("2026-01-31T12:03:00.000Z"),
                  time("2026-01-31T12:04:00.000Z")}};
    odd.quiet = true;
    odd.user = "other";
    odd.client = "";
    auto& untimed = state.fields["untimed"] = field("null", nine);
    untimed.claimed.reset();
    untimed.compared = epoch;

    const auto stored = to_stored(state, "u", false);
    const auto read = from_stored(stored.values, stored.meta, "u");
    ASSERT_EQ(read.fields.size(), 3U);
    for (const auto& [name, held] : state.fields) {
        const auto& back = read.fields.at(name);
        EXPECT_EQ(to_json_text(back.value), to_json_text(held.value)) << name;
        EXPECT_EQ(back.claimed, held.claimed) << name;
        EXPECT_EQ(back.compared, held.compared) << name;
        EXPECT_EQ(back.shown, held.shown) << name;
        EXPECT_EQ(back.holds, held.holds) << name;
        EXPECT_EQ(back.quiet, held.quiet) << name;
        EXPECT_EQ(back.user, held.user) << name;
        EXPECT_EQ(back.client, held.client) << name;
        EXPECT_FALSE(back.fresh || back.dirty) << name;
    }
}

TEST(sync_record, defaults_are_left_out) {
    record_state state;
    state.fields["f"] = field("1", nine);
    const auto stored = to_stored(state, "u", false);
    EXPECT_EQ(stored.values, R"({"f":1})");
    EXPECT_EQ(stored.meta, R"({"f":{"at":"2026-01-31T09:00:00.000Z","client":"A"}})");
}

TEST(sync_record, only_what_changed_is_stored_where_that_is_asked) {
    record_state state;
    state.fields["clean"] = field("1", nine);
    state.fields["dirty"] = field("2", nine);
    state.fields["dirty"].dirty = true;
    EXPECT_EQ(to_stored(state, "u", true).values, R"({"dirty":2})");
}

TEST(sync_record, a_text_that_is_no_state_throws) {
    EXPECT_THROW((void)from_stored("{", "{}", "u"), std::invalid_argument);
    EXPECT_THROW((void)from_stored("{}", "[]", "u"), std::invalid_argument);
    EXPECT_THROW((void)from_stored(R"({"f":1})", R"({"f":{"at":"soon"}})", "u"), std::invalid_argument);
}

/// Names of up to eight steps of three kinds, so that many lie around others or beside them.
std::string random_path(std::mt19937& random) {
    const std::array<std::string_view, 3> steps{"a", "a!", "b"};
    std::string path{steps.at(random() % 3)};
    while (random() % 8 != 0) path.append(1, '.').append(steps.at(random() % 3));
    return path;
}

TEST(sync_record, what_lies_around_and_inside_a_path_is_found_among_many) {
    std::mt19937 random{7}; // NOLINT(cert-msc51-cpp): the same paths each time
    for (int round = 0; round < 200; ++round) {
        record_state state;
        for (int i = 0; i < 60; ++i) state.fields[random_path(random)] = field("1", nine);
        const auto path = random_path(random);
        std::vector<const held_field*> around;
        std::string inside = "none";
        for (const auto& [name, held] : state.fields) {
            if (lies_inside(path, name)) around.insert(around.begin(), &held);
            if (inside == "none" && lies_inside(name, path)) inside = name;
        }
        std::vector<const held_field*> found;
        for_each_around(state.fields, path, [&](const auto& held) { found.push_back(&held.second); });
        EXPECT_EQ(found, around) << path;
        const auto first = first_inside(state.fields, path);
        const bool is_inside = first != state.fields.end() && lies_inside(first->first, path);
        EXPECT_EQ(is_inside ? first->first : "none", inside) << path;
    }
}

TEST(sync_record, what_lies_inside_a_path_is_found_by_bytes) {
    record_state state;
    for (const auto* name : {"a", "a!x", "a\u00ff", "a.b", "a/c"}) state.fields[name] = field("1", nine);
    EXPECT_EQ(first_inside(state.fields, "a")->first, "a.b");
}

} // namespace
} // namespace mana::sync
