// A row of the log is shown the same, whether its values go through as text or are taken apart (SPEC §3 rule
// 7).
#include "shared/sync/shown_row.hpp"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace mana::sync {
namespace {

constexpr std::string_view at_nine = R"("2026-01-31T09:00:00.000Z")";
const position written{*parse_instant("2026-01-31T09:00:00.500Z")};

stored_row row(std::string_view op, std::string_view data, std::string_view field_meta) {
    return {"e1", "notes", "n", op, data, field_meta, "1", {}, {}, {}, written};
}

std::string written_by(const stored_row& given, const record_state* record = nullptr) {
    std::vector<shown_change> shown;
    row_writer{shown}.write(given, record, {});
    std::string all;
    for (const auto& change : shown) all += change.json + '\n';
    return all;
}

/// By way of the values: a record of which nothing is known changes nothing, and keeps the row from going
/// through as text.
std::string written_apart(const stored_row& given) {
    const record_state nothing;
    return written_by(given, &nothing);
}

/// As a client reads it: without regard to spaces and to the order of keys.
std::string read(const std::string& changes) {
    std::string all;
    for (std::size_t from = 0, end = 0; from < changes.size(); from = end + 1) {
        end = changes.find('\n', from);
        all += to_json_text(parse_stored_json(changes.substr(from, end - from))) + '\n';
    }
    return all;
}

const std::string head = R"({"eventId":"e1","schemaVersion":1,"table":"notes","id":"n",)";

TEST(sync_shown_row, an_update_goes_through_as_its_text) {
    EXPECT_EQ(written_by(row("update", R"({"a": 1.50, "tags": ["x", {"y": null}]})",
                             R"({"a": "2026-01-31T09:00:00.000Z", "tags": "2026-01-31T09:00:00.001Z"})")),
              head + R"("op":"update","fields":{"a":{"value":1.50,"at":"2026-01-31T09:00:00.000Z"},)"
                     R"("tags":{"value":["x", {"y": null}],"at":"2026-01-31T09:00:00.001Z"}}})"
                     "\n");
}

TEST(sync_shown_row, an_insert_that_clients_read_as_one_is_its_data) {
    EXPECT_EQ(written_by(row("insert", R"({"id": "n", "createdAt": "2026-01-31T09:00:00.000Z"})",
                             R"({"createdAt": "2026-01-31T09:00:00.000Z"})")),
              head + R"("op":"insert","data":{"id": "n", "createdAt": "2026-01-31T09:00:00.000Z"}})"
                     "\n");
}

TEST(sync_shown_row, a_delete_has_no_fields) {
    EXPECT_EQ(written_by(row("delete", {}, "{}")), head + "\"op\":\"delete\"}\n");
}

TEST(sync_shown_row, what_travels_with_a_change_comes_along) {
    auto given = row("update", R"({"a": 1})", R"({"a": "2026-01-31T09:00:00.000Z"})");
    given.space = "s\"1";
    given.actor = R"({"kind": "user"})";
    given.origin = "web";
    EXPECT_NE(written_by(given).find(R"(,"spaceId":"s\"1","actor":{"kind": "user"},"origin":"web"})"),
              std::string::npos)
        << written_by(given);
    given.actor = "\"user\"";
    EXPECT_EQ(written_by(given).find("actor"), std::string::npos);
}

TEST(sync_shown_row, names_and_values_of_any_kind_are_shown_as_by_their_values) {
    std::minstd_rand random{20260131};
    const auto one_of = [&](const std::vector<std::string>& texts) { return texts[random() % texts.size()]; };
    // In the order that jsonb gives to keys.
    const std::vector<std::string> names{"a",   "é",         R"(\")",     R"(a\\)",    R"(b\u0001)", "id",
                                         "a.b", "createdAt", "deletedAt", "updatedAt", "__fieldMeta"};
    const std::vector<std::string> values{"null",
                                          "true",
                                          "-1.5e3",
                                          "0",
                                          R"("")",
                                          R"("x: \"y\", {")",
                                          R"("2026-01-31T09:00:00.000Z")",
                                          "[]",
                                          R"([1, [2, {"k": "}"}]])",
                                          "{}",
                                          R"({"": {"x": "\\"}})",
                                          "\"\u2028\""};
    const std::vector<std::string> times{std::string(at_nine),
                                         std::string(at_nine),
                                         std::string(at_nine),
                                         R"("2026-01-31T09:00:00.001Z")",
                                         R"({"at": "2026-01-31T09:00:00Z"})",
                                         "7"};
    for (int round = 0; round < 20'000; ++round) {
        std::string data;
        std::string meta;
        for (const auto& name : names) {
            if (random() % 3 != 0) continue;
            data += (data.empty() ? "\"" : ", \"") + name + "\": " + one_of(values);
            if (name == "id" || name == "__fieldMeta" || random() % 8 == 0) continue;
            meta += (meta.empty() ? "\"" : ", \"") + name + "\": " + one_of(times);
        }
        data = '{' + data + '}';
        meta = '{' + meta + '}';
        const auto given = row(random() % 2 == 0 ? "insert" : "update", data, meta);
        ASSERT_EQ(read(written_by(given)), read(written_apart(given))) << data << '\n' << meta;
    }
}

TEST(sync_shown_row, text_that_is_no_json_is_told) {
    EXPECT_THROW(written_by(row("update", R"({"a": )", R"({"a": 1})")), std::invalid_argument);
    EXPECT_THROW(written_by(row("update", "[1", "{}")), std::invalid_argument);
}

} // namespace
} // namespace mana::sync
