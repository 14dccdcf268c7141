// What a push claims, and what of it is refused (SPEC §2, §3 rule 1, §6).
#include "shared/sync/push_request.hpp"

#include <gtest/gtest.h>
#include <string>

namespace mana::sync {
namespace {

push_request read_body(const std::string& body, std::string_view header = {}) {
    auto read = parse_push(body, header, {});
    EXPECT_TRUE(read) << body << ": " << read.error().message;
    return read ? *read : push_request{};
}

/// A push of one change, of which `rest` is all but table and id.
push_request read_one(const std::string& rest) {
    return read_body(R"({"changes":[{"table":"notes","id":"n",)" + rest + "}]}");
}

/// What the one change claims: "field=value@time", untimed ones without a time, those of `data` marked with
/// +.
std::string claims(const std::string& rest) {
    const auto push = read_one(rest);
    if (push.changes.empty()) return "rejected " + (push.rejected.empty() ? "" : push.rejected.front().code);
    const auto& change = push.changes.front();
    if (change.hard_delete) return change.writes.empty() ? "hard delete" : "hard delete with writes";
    std::string text;
    for (const auto& write : change.writes) {
        text += (text.empty() ? "" : " ") + write.field + "=" + to_json_text(write.value);
        if (write.at) text += "@" + (*write.at == epoch ? "epoch" : to_text(*write.at));
        if (write.from_insert) text += "+";
    }
    return text;
}

std::string fault(const std::string& body, std::string_view header = {}) {
    const auto read = parse_push(body, header, {});
    return read ? "" : read.error().code + ": " + read.error().message;
}

std::string code_of_one(const std::string& rest) {
    const auto push = read_one(rest);
    return push.rejected.empty() ? "" : push.rejected.front().code;
}

// Claims.

TEST(sync_push_request, an_update_claims_each_fields_own_time) {
    EXPECT_EQ(
        claims(
            R"("op":"update","fields":{"a":{"value":1,"at":"2026-01-31T10:00:00+01:00"},"b.c":{"value":[2],)"
            R"("at":"2026-01-31T09:00:00.000Z"}})"),
        "a=1@2026-01-31T09:00:00.000Z b.c=[2]@2026-01-31T09:00:00.000Z");
}

TEST(sync_push_request, a_missing_or_empty_time_is_the_epoch) {
    EXPECT_EQ(
        claims(
            R"("op":"update","fields":{"a":{"value":1},"b":{"value":2,"at":""},"c":{"value":3,"at":null}})"),
        "a=1@epoch b=2@epoch c=3@epoch");
}

TEST(sync_push_request, updatedAt_is_taken_for_at) {
    EXPECT_EQ(claims(R"("op":"update","fields":{"a":{"value":1,"updatedAt":"2026-01-31T09:00:00Z"}})"),
              "a=1@2026-01-31T09:00:00.000Z");
}

TEST(sync_push_request, a_missing_value_is_null_and_empty_fields_do_nothing) {
    EXPECT_EQ(claims(R"("op":"update","fields":{"a":{"at":"2026-01-31T09:00:00Z"}})"),
              "a=null@2026-01-31T09:00:00.000Z");
    EXPECT_EQ(claims(R"("op":"update","fields":{})"), "");
}

TEST(sync_push_request, data_claim_updatedAt_else_createdAt) {
    EXPECT_EQ(
        claims(
            R"("op":"insert","data":{"a":1,"createdAt":"2019-01-01T00:00:00Z","updatedAt":"2020-01-01T00:00:00Z"})"),
        R"(a=1@2020-01-01T00:00:00.000Z+ createdAt="2019-01-01T00:00:00Z"@2020-01-01T00:00:00.000Z+ )"
        R"(updatedAt="2020-01-01T00:00:00Z"@2020-01-01T00:00:00.000Z+)");
    EXPECT_EQ(claims(R"("op":"insert","data":{"a":1,"createdAt":"2019-01-01T00:00:00Z","updatedAt":"soon"})"),
              R"(a=1@2019-01-01T00:00:00.000Z+ createdAt="2019-01-01T00:00:00Z"@2019-01-01T00:00:00.000Z+ )"
              R"(updatedAt="soon"@2019-01-01T00:00:00.000Z+)");
    EXPECT_EQ(claims(R"("op":"update","data":{"a":1,"updatedAt":"2020-01-01T00:00:00Z"})"),
              R"(a=1@2020-01-01T00:00:00.000Z+ updatedAt="2020-01-01T00:00:00Z"@2020-01-01T00:00:00.000Z+)");
}

TEST(sync_push_request, an_insert_without_a_usable_time_is_untimed) {
    EXPECT_EQ(claims(R"("op":"insert","data":{"a":1})"), "a=1+");
    EXPECT_EQ(claims(R"("op":"insert","data":{"createdAt":1546300800000})"), "createdAt=1546300800000+");
    EXPECT_EQ(claims(R"("op":"insert","data":{"createdAt":"2019-01-01"})"), "createdAt=\"2019-01-01\"+");
}

TEST(sync_push_request, id_and_the_clients_own_keys_are_no_fields) {
    EXPECT_EQ(claims(R"("op":"insert","data":{"id":"n","__fieldMeta":{"a":1},"_updatedAtIndex":"x","a":1})"),
              "a=1+");
    EXPECT_EQ(
        claims(
            R"("op":"update","fields":{"id":{"value":1},"__fieldMeta":{"value":{}},"_updatedAtIndex":{}})"),
        "");
    ASSERT_TRUE(read_one(R"("op":"insert","data":{"id":"n"})").changes.front().data_id);
}

TEST(sync_push_request, a_soft_delete_is_a_field_like_any_other) {
    const std::string soft = R"(deletedAt="2026-01-31T09:00:00.000Z"@2026-01-31T09:00:00.000Z)";
    EXPECT_EQ(claims(R"("op":"delete","deletedAt":"2026-01-31T09:00:00.000Z")"), soft);
    EXPECT_EQ(claims(R"("op":"delete","data":{"deletedAt":"2026-01-31T09:00:00.000Z"})"), soft);
    EXPECT_EQ(
        claims(
            R"("op":"delete","deletedAt":"2026-01-31T09:00:00.000Z","fields":{"a":{"value":1,"at":"2026-01-31T08:00:00Z"}})"),
        "a=1@2026-01-31T08:00:00.000Z " + soft);
    EXPECT_EQ(
        claims(
            R"("op":"delete","deletedAt":"2020-01-01T00:00:00Z","fields":{"deletedAt":{"value":"x","at":"2026-01-31T09:00:00Z"}})"),
        "deletedAt=\"x\"@2026-01-31T09:00:00.000Z");
    EXPECT_EQ(claims(R"("op":"update","deletedAt":"2026-01-31T09:00:00.000Z")"), soft);
}

TEST(sync_push_request, a_delete_without_deletedAt_is_hard) {
    EXPECT_EQ(claims(R"("op":"delete")"), "hard delete");
    EXPECT_EQ(claims(R"("op":"delete","deletedAt":null,"fields":{"a":{"value":1}}, "data":{"deletedAt":""})"),
              "hard delete");
}

// Headings.

TEST(sync_push_request, the_space_is_the_changes_else_that_of_its_data_or_fields) {
    const auto space = [](const std::string& rest) { return read_one(rest).changes.at(0).heading.space; };
    EXPECT_EQ(space(R"("op":"insert","spaceId":"s1","data":{"spaceId":"s2"})"), "s1");
    EXPECT_EQ(space(R"("op":"insert","data":{"spaceId":"s2"})"), "s2");
    EXPECT_EQ(space(R"("op":"update","fields":{"spaceId":{"value":"s3","at":"2026-01-31T09:00:00Z"}})"),
              "s3");
    EXPECT_EQ(space(R"("op":"insert","data":{"a":1})"), "");
}

TEST(sync_push_request, actor_is_kept_unread) {
    const auto push = read_one(R"("op":"insert","data":{},"actor":{"kind":"user","n":1.0},"origin":"web")");
    EXPECT_EQ(to_json_text(*push.changes.at(0).heading.actor), R"({"kind":"user","n":1.0})");
    EXPECT_EQ(push.changes.at(0).heading.origin, "web");
}

TEST(sync_push_request, the_headers_client_id_wins) {
    EXPECT_EQ(read_body(R"({"clientId":"body"})", "header").client_id, "header");
    EXPECT_EQ(read_body(R"({"clientId":"body"})").client_id, "body");
    EXPECT_EQ(read_body("{}").client_id, "");
}

TEST(sync_push_request, a_missing_since_is_the_epoch_and_unknown_keys_are_ignored) {
    const auto push =
        read_body("{\"new\":[\"\\u0000\",1e999],\"since\":\"\",\"changes\":[{\"table\":\"t\",\"id\":\"i\","
                  "\"op\":\"insert\",\"data\":{},\"extra\":\"\\u0000\"}]}");
    EXPECT_TRUE(push.since.from_epoch);
    EXPECT_EQ(push.changes.size(), 1U);
    EXPECT_TRUE(push.rejected.empty());
}

// Refused whole.

TEST(sync_push_request, a_body_that_cannot_be_read_is_refused) {
    EXPECT_TRUE(fault("").starts_with("invalid_json"));
    EXPECT_TRUE(fault("{\"changes\":[}").starts_with("invalid_json"));
    for (const auto* body : {"[]", "1", R"({"changes":{}})", R"({"clientId":1})"})
        EXPECT_TRUE(fault(body).starts_with("invalid_request")) << body << fault(body);
    EXPECT_TRUE(fault("{}", "caf\xc3\xa9").starts_with("invalid_request"));
    EXPECT_TRUE(fault("{}", std::string(300, 'x')).starts_with("invalid_request"));
}

TEST(sync_push_request, a_change_without_table_id_or_op_names_its_index_and_field) {
    const std::string good = R"({"table":"t","id":"i","op":"insert","data":{}},)";
    const auto second = [&](const std::string& change) {
        return fault("{\"changes\":[" + good + change + "]}");
    };
    EXPECT_NE(second(R"({"id":"i","op":"insert"})").find("changes[1].table"), std::string::npos);
    EXPECT_NE(second(R"({"table":"","id":"i","op":"insert"})").find("changes[1].table"), std::string::npos);
    EXPECT_NE(second(R"({"table":"t","id":7,"op":"insert"})").find("changes[1].id"), std::string::npos);
    EXPECT_NE(second(R"({"table":"t","id":"i","op":"upsert"})").find("changes[1].op"), std::string::npos);
    EXPECT_NE(second("7").find("changes[1]"), std::string::npos);
}

TEST(sync_push_request, a_newer_schema_version_is_refused) {
    EXPECT_TRUE(fault(R"({"schemaVersion":2})").starts_with("unsupported_schema_version"));
    EXPECT_EQ(fault(R"({"schemaVersion":1})"), "");
    EXPECT_TRUE(fault(R"({"changes":[{"table":"t","id":"i","op":"insert","schemaVersion":2}]})")
                    .starts_with("unsupported_schema_version"));
    for (const auto* odd : {"1.5", "-1", "\"1\"", "1e400", "1e-400"})
        EXPECT_TRUE(
            fault(std::string(R"({"schemaVersion":)") + odd + "}").starts_with("invalid_schema_version"))
            << odd;
}

// Refused alone.

TEST(sync_push_request, what_one_change_makes_unstorable_is_refused_alone) {
    const std::string deep = std::string(129, '[') + std::string(129, ']');
    EXPECT_EQ(code_of_one("\"op\":\"insert\",\"data\":{\"a\":\"\\u0000\"}"), "nul_character");
    EXPECT_EQ(code_of_one("\"op\":\"update\",\"fields\":{\"a\\u0000\":{\"value\":1}}"), "nul_character");
    EXPECT_EQ(code_of_one("\"op\":\"insert\",\"data\":{},\"actor\":{\"a\":\"\\u0000\"}"), "nul_character");
    EXPECT_EQ(code_of_one(R"("op":"insert","data":{"a":1e400})"), "number_out_of_range");
    EXPECT_EQ(code_of_one(R"("op":"update","fields":{"a":{"value":)" + deep + "}}"), "too_deep");
    EXPECT_EQ(code_of_one(R"("op":"insert","data":{"a":[)" + deep + "]}"), "too_deep");
    EXPECT_EQ(code_of_one(R"("op":"update","fields":{"a":{"value":1,"at":"yesterday"}})"), "malformed_time");
    EXPECT_EQ(code_of_one(R"("op":"update","fields":{"a":{"value":1,"at":5}})"), "malformed_time");
    EXPECT_EQ(code_of_one(R"("op":"delete","deletedAt":true)"), "malformed_time");
    EXPECT_EQ(code_of_one(R"("op":"update","fields":{"a":1})"), "malformed_field");
    EXPECT_EQ(code_of_one(R"("op":"insert","data":[])"), "malformed_field");
}

std::string message_of_one(const std::string& rest) {
    const auto push = read_one(rest);
    return push.rejected.empty() ? "" : push.rejected.front().message;
}

TEST(sync_push_request, a_change_that_brings_nothing_names_what_is_missing) {
    for (const char* const rest : {R"("op":"insert")", R"("op":"insert","data":null)",
                                   R"("op":"insert","fields":null,"deletedAt":null)"}) {
        EXPECT_EQ(code_of_one(rest), "malformed_field") << rest;
        EXPECT_EQ(message_of_one(rest), "data is missing") << rest;
    }
    for (const char* const rest : {R"("op":"update")", R"("op":"update","fields":null)",
                                   R"("op":"update","data":null,"deletedAt":"")"}) {
        EXPECT_EQ(code_of_one(rest), "malformed_field") << rest;
        EXPECT_EQ(message_of_one(rest), "fields are missing") << rest;
    }
    const auto push = read_body(R"({"changes":[{"table":"t","id":"bad","op":"update"},)"
                                R"({"table":"t","id":"good","op":"insert","data":{"a":1}}]})");
    EXPECT_EQ(push.changes.size(), 1U) << "it alone";
}

TEST(sync_push_request, what_is_there_and_empty_is_not_missing) {
    for (const char* const rest : {R"("op":"update","fields":{})", R"("op":"update","data":{})",
                                   R"("op":"insert","data":{})", R"("op":"insert","fields":{})"})
        EXPECT_EQ(claims(rest), "") << rest;
}

TEST(sync_push_request, an_insert_without_data_is_read_as_an_update) {
    const std::string fields = R"("fields":{"a":{"value":1,"at":"2026-01-31T09:00:00Z"}})";
    EXPECT_EQ(claims(R"("op":"insert",)" + fields), "a=1@2026-01-31T09:00:00.000Z");
    EXPECT_EQ(read_one(R"("op":"insert",)" + fields).changes.at(0).op, operation::update);
    EXPECT_EQ(claims(R"("op":"insert","deletedAt":"2026-01-31T09:00:00.000Z")"),
              claims(R"("op":"update","deletedAt":"2026-01-31T09:00:00.000Z")"));
}

TEST(sync_push_request, a_time_that_is_one_but_cannot_be_taken_is_refused_for_what_it_is) {
    for (const char* const time :
         {"9999-01-01T00:00:00.000Z", "9999-12-31T23:59:59-10:00", "0000-01-01T00:00:00+01:00"}) {
        const std::string rest =
            R"("op":"update","fields":{"a":{"value":1,"at":")" + std::string{time} + R"("}})";
        EXPECT_EQ(code_of_one(rest), "malformed_time") << time;
        EXPECT_EQ(message_of_one(rest), R"(fields["a"].at is not within the years 0 to 9998)") << time;
    }
    EXPECT_EQ(message_of_one(R"("op":"delete","deletedAt":"9999-01-01T00:00:00.000Z")"),
              "deletedAt is not within the years 0 to 9998");
    EXPECT_EQ(message_of_one(R"("op":"delete","deletedAt":"10000-01-01T00:00:00.000Z")"),
              "deletedAt is not an RFC 3339 time");
}

TEST(sync_push_request, the_deepest_value_that_is_allowed_lands) {
    const std::string deep = std::string(128, '[') + std::string(128, ']');
    EXPECT_EQ(code_of_one(R"("op":"insert","data":{"a":)" + deep + "}"), "");
    EXPECT_EQ(code_of_one(R"("op":"update","fields":{"a":{"value":)" + deep + "}}"), "");
}

TEST(sync_push_request, a_rejection_names_its_change_and_keeps_it) {
    const auto push = read_body(R"({"changes":[{"table":"t","id":"good","op":"insert","data":{"a":1}},)"
                                R"({"table":"t","id":"bad","op":"insert","data":{"a":1e400}},)"
                                R"({"table":"t","id":"good too","op":"insert","data":{"a":1}}]})");
    ASSERT_EQ(push.changes.size(), 2U);
    EXPECT_EQ(push.changes[1].index, 2U);
    ASSERT_EQ(push.rejected.size(), 1U);
    EXPECT_EQ(push.rejected[0].index, 1U);
    EXPECT_EQ(push.rejected[0].record_id, "bad");
    EXPECT_EQ(push.rejected[0].change_text, R"({"data":{"a":1e400},"id":"bad","op":"insert","table":"t"})");
}

TEST(sync_push_request, names_too_long_for_an_index_are_refused_alone) {
    const auto push = read_body(R"({"changes":[{"table":"t","id":")" + std::string(1'001, 'x') +
                                R"(","op":"insert","data":{}}]})");
    ASSERT_EQ(push.rejected.size(), 1U);
    EXPECT_EQ(push.rejected[0].code, "too_long");
}

TEST(sync_push_request, a_name_of_a_field_is_bounded_in_bytes_and_levels) {
    const auto both = [](const std::string& name) {
        const auto of_data = code_of_one(R"("op":"insert","data":{")" + name + "\":1}");
        EXPECT_EQ(code_of_one(R"("op":"update","fields":{")" + name + R"(":{"value":1}})"), of_data);
        return of_data;
    };
    const auto path = [](int levels) {
        std::string steps = "a";
        for (int i = 1; i < levels; ++i) steps += ".b";
        return steps;
    };
    EXPECT_EQ(both(std::string(1'000, 'x')), "");
    EXPECT_EQ(both(std::string(1'001, 'x')), "too_long");
    EXPECT_EQ(both(path(128)), "");
    EXPECT_EQ(both(path(129)), "too_deep");
    EXPECT_EQ(both(path(200'000)), "too_long");
}

TEST(sync_push_request, a_rejection_tells_no_more_of_a_name_than_is_read) {
    const auto push = read_body(R"({"changes":[{"table":"t","id":"i","op":"update","fields":{")" +
                                std::string(100'000, 'x') + R"(":1}}]})");
    ASSERT_EQ(push.rejected.size(), 1U);
    EXPECT_LT(push.rejected[0].message.size(), 200U);
}

TEST(sync_push_request, a_change_that_grows_beyond_what_fits_when_stored_is_refused_alone) {
    std::string numbers;
    for (int i = 0; i < 40'000; ++i) numbers += numbers.empty() ? "1e308" : ",1e308";
    EXPECT_EQ(code_of_one(R"("op":"insert","data":{"a":[)" + numbers + "]}"), "too_large");
}

TEST(push_request, is_refused_whole_beyond_the_limit_of_changes) {
    request_limits two;
    two.changes = 2;
    const std::string one = R"({"table":"t","id":"1","op":"delete"})";
    EXPECT_TRUE(parse_push(R"({"changes":[)" + one + "," + one + "]}", {}, two));
    const auto read = parse_push(R"({"changes":[)" + one + "," + one + "," + one + "]}", {}, two);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, "too_many_changes");
}

TEST(push_request, refuses_a_change_alone_beyond_the_limit_of_fields) {
    request_limits two;
    two.fields = 2;
    const auto read =
        parse_push(R"({"changes":[{"table":"t","id":"1","op":"insert","data":{"a":1,"b":2,"c":3}},)"
                   R"({"table":"t","id":"2","op":"update","fields":{"a":{},"b":{},"c":{}}},)"
                   R"({"table":"t","id":"3","op":"insert","data":{"a":1,"b":2}}]})",
                   {}, two);
    ASSERT_TRUE(read);
    ASSERT_EQ(read->rejected.size(), 2U);
    EXPECT_EQ(read->rejected[0].code, "too_many_fields");
    EXPECT_EQ(read->rejected[1].code, "too_many_fields");
    ASSERT_EQ(read->changes.size(), 1U);
    EXPECT_EQ(read->changes[0].heading.record_id, "3");
}

} // namespace
} // namespace mana::sync
