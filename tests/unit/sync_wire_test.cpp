// What an existing client makes of an emitted change is exactly the fields with their shown times (SPEC §2,
// §3 rule 7).
#include "shared/sync/wire.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace mana::sync {
namespace {

constexpr std::string_view old_time = "2019-01-01T00:00:00.000Z";
const position written{*parse_instant("2026-01-31T09:00:00.500Z")};

logged_change row(operation op, std::string_view data, std::string_view meta) {
    logged_change logged;
    logged.event_id = "e1";
    logged.heading.table = "notes";
    logged.heading.record_id = "n";
    logged.op = op;
    logged.data = *parse_stored_json(data).as_object();
    logged.fields = shown_fields(logged.data, *parse_stored_json(meta).as_object(), written);
    return logged;
}

std::string emitted(operation op, std::string_view data, std::string_view meta,
                    const record_state* record = nullptr) {
    answer page;
    for (const auto& change : changes_of(row(op, data, meta), record, {}))
        page.server_changes.push_back(shown(change));
    const auto text = to_json(page);
    const std::string start = R"({"serverChanges":[)";
    const auto end = text.find(R"(],"conflicts")");
    return text.substr(start.size(), end - start.size());
}

const std::string head = R"({"eventId":"e1","schemaVersion":1,"table":"notes","id":"n",)";

held_field held(std::string_view value, std::string_view shown) {
    held_field field;
    field.value = parse_stored_json(value);
    field.shown = *parse_instant(shown);
    return field;
}

TEST(sync_wire, an_insert_is_one_only_where_its_own_text_is_every_fields_shown_time) {
    EXPECT_EQ(emitted(operation::insert, R"({"a":1,"createdAt":"2019-01-01T00:00:00.000Z","id":"n"})",
                      R"({"a":"2019-01-01T00:00:00.000Z","createdAt":"2019-01-01T00:00:00.000Z"})"),
              head + R"("op":"insert","data":{"a":1,"createdAt":"2019-01-01T00:00:00.000Z","id":"n"}})");
}

TEST(sync_wire, an_insert_whose_time_has_another_form_goes_out_as_an_update_with_data) {
    EXPECT_EQ(
        emitted(operation::insert, R"({"createdAt":"2019-01-01T00:00:00Z"})",
                R"({"createdAt":"2019-01-01T00:00:00.000Z"})"),
        head +
            R"("op":"update","fields":{"createdAt":{"value":"2019-01-01T00:00:00Z","at":"2019-01-01T00:00:00.000Z"}},)"
            R"("data":{"createdAt":"2019-01-01T00:00:00Z"}})");
}

TEST(sync_wire, an_insert_with_one_field_shown_otherwise_goes_out_as_an_update) {
    const auto text = emitted(operation::insert, R"({"a":1,"createdAt":"2019-01-01T00:00:00.000Z"})",
                              R"({"a":"2019-01-01T00:00:00.001Z","createdAt":"2019-01-01T00:00:00.000Z"})");
    EXPECT_NE(text.find(R"("op":"update")"), std::string::npos) << text;
}

TEST(sync_wire, an_untimed_insert_goes_out_as_an_update_with_data) {
    EXPECT_EQ(
        emitted(operation::insert, R"({"a":1})", R"({"a":"2026-01-31T09:00:00.000Z"})"),
        head + R"("op":"update","fields":{"a":{"value":1,"at":"2026-01-31T09:00:00.000Z"}},"data":{"a":1}})");
}

TEST(sync_wire, updatedAt_is_what_a_client_reads_first) {
    const auto text =
        emitted(operation::insert,
                R"({"createdAt":"2019-01-01T00:00:00.000Z","updatedAt":"2020-01-01T00:00:00.000Z"})",
                R"({"createdAt":"2019-01-01T00:00:00.000Z","updatedAt":"2019-01-01T00:00:00.000Z"})");
    EXPECT_NE(text.find(R"("op":"update")"), std::string::npos) << text;
}

TEST(sync_wire, a_hard_delete_is_one) {
    EXPECT_EQ(emitted(operation::remove, "{}", "{}"), head + R"("op":"delete"})");
}

TEST(sync_wire, every_change_of_a_soft_deleted_record_carries_its_deletedAt) {
    record_state record;
    record.fields["deletedAt"] = held("\"2026-01-31T08:00:00.000Z\"", "2026-01-31T08:00:00.000Z");
    EXPECT_EQ(
        emitted(operation::insert, R"({"createdAt":"2019-01-01T00:00:00.000Z"})",
                R"({"createdAt":"2019-01-01T00:00:00.000Z"})", &record),
        head +
            R"("op":"update","fields":{"createdAt":{"value":"2019-01-01T00:00:00.000Z","at":"2019-01-01T00:00:00.000Z"},)"
            R"("deletedAt":{"value":"2026-01-31T08:00:00.000Z","at":"2026-01-31T08:00:00.000Z"}},)"
            R"("data":{"createdAt":"2019-01-01T00:00:00.000Z"}})");
}

TEST(sync_wire, an_undelete_brings_all_fields) {
    record_state record;
    record.fields["a"] = held("1", old_time);
    record.fields["deletedAt"] = held("null", "2026-01-31T08:00:00.000Z");
    EXPECT_EQ(emitted(operation::update, R"({"deletedAt":null})",
                      R"({"deletedAt":"2026-01-31T08:00:00.000Z"})", &record),
              head + R"("op":"update","fields":{"deletedAt":{"value":null,"at":"2026-01-31T08:00:00.000Z"},)"
                     R"("a":{"value":1,"at":"2019-01-01T00:00:00.000Z"}}})");
}

TEST(sync_wire, dotted_fields_follow_in_a_change_of_their_own_outer_ones_first) {
    EXPECT_EQ(
        emitted(
            operation::update, R"({"a.b.c":2,"a.c":{},"b":{}})",
            R"({"a.b.c":"2019-01-01T00:00:00.000Z","a.c":"2019-01-01T00:00:00.000Z","b":"2019-01-01T00:00:00.000Z"})"),
        head + R"("op":"update","fields":{"b":{"value":{},"at":"2019-01-01T00:00:00.000Z"}}},)" + head +
            R"("op":"update","fields":{"a.c":{"value":{},"at":"2019-01-01T00:00:00.000Z"},)"
            R"("a.b.c":{"value":2,"at":"2019-01-01T00:00:00.000Z"}}})");
}

TEST(sync_wire, dotted_fields_alone_follow_an_empty_change_that_may_create_the_record) {
    EXPECT_EQ(emitted(operation::update, R"({"a.b":1})", R"({"a.b":"2019-01-01T00:00:00.000Z"})"),
              head + R"("op":"update","fields":{}},)" + head +
                  R"("op":"update","fields":{"a.b":{"value":1,"at":"2019-01-01T00:00:00.000Z"}}})");
}

TEST(sync_wire, data_hold_no_dotted_keys) {
    const auto text = emitted(operation::insert, R"({"a":{},"a.b":1})",
                              R"({"a":"2019-01-01T00:00:00.000Z","a.b":"2019-01-01T00:00:00.000Z"})");
    EXPECT_NE(text.find(R"("data":{"a":{}}})"), std::string::npos) << text;
}

TEST(sync_wire, a_row_of_another_program_is_read_with_objects_and_without_times) {
    EXPECT_EQ(emitted(operation::update, R"({"a":1,"b":2,"id":"n"})",
                      R"({"a":{"at":"2019-01-01T00:00:00Z"},"b":7})"),
              head + R"("op":"update","fields":{"a":{"value":1,"at":"2019-01-01T00:00:00.000Z"},)"
                     R"("b":{"value":2,"at":"2026-01-31T09:00:00.500Z"}}})");
}

TEST(sync_wire, absent_keys_are_left_out_and_an_actor_is_an_object) {
    auto logged = row(operation::update, R"({"a":1})", R"({"a":"2019-01-01T00:00:00.000Z"})");
    logged.heading.space = "s1";
    logged.heading.origin = "web";
    logged.heading.actor = parse_stored_json(R"({"kind":"user"})");
    answer page;
    page.server_changes = {shown(changes_of(logged, nullptr, {}).front())};
    EXPECT_NE(to_json(page).find(R"(,"spaceId":"s1","actor":{"kind":"user"},"origin":"web"})"),
              std::string::npos)
        << to_json(page);
    logged.heading.actor = parse_stored_json("\"user\"");
    page.server_changes = {shown(changes_of(logged, nullptr, {}).front())};
    EXPECT_EQ(to_json(page).find("actor"), std::string::npos) << to_json(page);
}

TEST(sync_wire, a_reset_is_a_hard_delete_and_then_all_that_lives) {
    record_state record;
    record.fields["a"] = held("1", old_time);
    record.fields["r.b"] = held("2", old_time);
    const auto changes = reset_of({"notes", "n", 1, "", std::nullopt, ""}, record);
    ASSERT_EQ(changes.size(), 3U);
    EXPECT_EQ(changes[0].op, operation::remove);
    EXPECT_EQ(changes[1].fields.at(0).name, "a");
    EXPECT_EQ(changes[2].fields.at(0).name, "r.b");
    EXPECT_EQ(reset_of({"notes", "n", 1, "", std::nullopt, ""}, record_state{}).size(), 1U);
}

TEST(sync_wire, an_answer_has_what_the_protocol_names) {
    answer page;
    page.synced_until = {written, false};
    EXPECT_EQ(to_json(page),
              R"({"serverChanges":[],"conflicts":[],"syncedUntil":"2026-01-31T09:00:00.500000Z"})");
    page.has_more = true;
    page.conflicts.push_back({"notes", "n", "f", parse_stored_json("1"), std::nullopt, parse_stored_json("2"),
                              *parse_instant(old_time)});
    page.rejected.push_back({3, "notes", "n", "too_deep", "why", "{}"});
    EXPECT_EQ(
        to_json(page),
        R"({"serverChanges":[],"conflicts":[{"table":"notes","id":"n","field":"f","clientValue":1,"serverValue":2,)"
        R"("serverTimestamp":"2019-01-01T00:00:00.000Z"}],)"
        R"("rejected":[{"index":3,"table":"notes","id":"n","code":"too_deep","message":"why"}],)"
        R"("syncedUntil":"2026-01-31T09:00:00.500000Z","hasMore":true})");
}

} // namespace
} // namespace mana::sync
