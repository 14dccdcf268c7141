// An answer says each field once (SPEC §3 rules 6 and 7).
#include "shared/sync/push_request.hpp"
#include "shared/sync/said_once.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace mana::sync {
namespace {

using namespace std::chrono_literals;

const instant receipt = *parse_instant("2026-01-31T09:00:00.000Z");

page_row row(std::string_view data, std::string_view op = "update", std::string_view id = "n") {
    return {"notes", id, op, data};
}

/// What is left of each row, as "title,color | nothing | all".
std::string left_of(const std::vector<page_row>& rows, said_once& said) {
    const auto elsewhere = said.sift(rows);
    std::string text;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        text += i > 0 ? " | " : "";
        if (elsewhere[i].all()) {
            text += "nothing";
            continue;
        }
        const auto* separator = "";
        const auto data = parse_stored_json(rows[i].data.empty() ? "{}" : rows[i].data);
        for (const auto& member : *data.as_object()) {
            if (elsewhere[i].has(member.key)) continue;
            text.append(separator).append(member.key);
            separator = ",";
        }
    }
    return text;
}

std::string left_of_pull(const std::vector<page_row>& rows) {
    said_once said;
    return left_of(rows, said);
}

TEST(said_once_by_a_page, is_what_its_last_row_has) {
    EXPECT_EQ(left_of_pull({row(R"({"title":"draft","color":"red"})"), row(R"({"title":"final"})")}),
              "color | title");
    EXPECT_EQ(left_of_pull({row(R"({"title":"draft"})"), row(R"({"title":"final"})")}), "nothing | title");
    EXPECT_EQ(left_of_pull({row(R"({"title":"a"})"), row(R"({"title":"b"})", "update", "other")}),
              "title | title");
}

TEST(said_once_by_a_page, is_an_object_with_its_parts) {
    EXPECT_EQ(left_of_pull({row(R"({"rec":{"a":1}})"), row(R"({"rec.a":2})")}), "rec | rec.a");
    EXPECT_EQ(left_of_pull({row(R"({"rec.a":2})"), row(R"({"rec":{"a":3}})")}), "nothing | rec");
}

TEST(said_once_by_a_page, is_a_delete_of_all_before_it) {
    EXPECT_EQ(left_of_pull({row(R"({"title":"a"})"), row("", "delete"), row(R"({"title":"b"})")}),
              "nothing |  | title");
}

TEST(said_once_by_a_page, is_not_what_its_reader_wrote_last_of_all) {
    auto again = row(R"({"title":"a","color":"red","rec":{}})");
    again.readers = {"title", "rec"};
    EXPECT_EQ(left_of_pull({again}), "color,rec") << "an object may have been replaced around a part";
}

TEST(said_once_by_a_page, what_cannot_be_read_is_left_as_it_is) {
    said_once said;
    const auto elsewhere = said.sift(std::vector{row("[1]"), row(R"({"title":"a"})")});
    EXPECT_FALSE(elsewhere[0].any());
}

class said_once_to_an_author : public ::testing::Test {
  protected:
    merge_outcome push(const std::string& client, const std::string& changes) {
        const auto body = "{\"changes\":[" + changes + "]}";
        request_ = *parse_push(body, client, {});
        author_ = {"ann", client, std::nullopt};
        for (auto& [key, record] : records_)
            for (auto& [name, field] : record.fields) field.fresh = false;
        return merge_push(request_.changes, author_, {.receipt = receipt, .max_clock_skew = 24h}, records_);
    }
    said_once said(const merge_outcome& merged) {
        return {request_.changes, author_, receipt, records_, merged.repairs};
    }
    static std::string set(std::string_view field, std::string_view value, std::string_view clock) {
        return R"({"table":"notes","id":"n","op":"update","fields":{")" + std::string(field) +
               R"(":{"value":)" + std::string(value) + R"(,"at":"2026-01-31T)" + std::string(clock) +
               R"(:00.000Z"}}})";
    }
    static std::string told(const std::vector<wire_change>& changes) {
        std::string text;
        for (const auto& change : changes) {
            text += text.empty() ? "" : " | ";
            text += to_text(change.op);
            for (const auto& field : change.fields)
                text += " " + field.name + "=" + to_json_text(field.value);
        }
        return text;
    }

    push_request request_;
    writer author_;
    record_map records_;
};

TEST_F(said_once_to_an_author, is_nothing_of_what_it_wrote_as_it_stays) {
    push("desk", set("title", "1", "08:00"));
    const auto merged = push("phone", set("title", "2", "08:10"));
    auto answer = said(merged);
    EXPECT_EQ(left_of({row(R"({"title":1,"color":2})")}, answer), "color");
    EXPECT_EQ(told(answer.repairs(merged.repairs)), "");
}

TEST_F(said_once_to_an_author, is_what_a_loser_must_hold_and_the_page_no_more) {
    push("desk", set("title", "1", "08:10"));
    const auto merged = push("phone", set("title", "2", "08:00"));
    auto answer = said(merged);
    EXPECT_EQ(left_of({row(R"({"title":1})")}, answer), "nothing");
    EXPECT_EQ(told(answer.repairs(merged.repairs)), "update title=1");
}

TEST_F(said_once_to_an_author, is_all_of_an_object_whose_part_it_wrote_where_the_page_has_another) {
    push("desk", set("rec", R"({"a":1,"b":1})", "08:00"));
    const auto merged = push("phone", set("rec.a", "2", "08:10"));
    auto answer = said(merged);
    EXPECT_EQ(left_of({row(R"({"rec":{"a":1,"b":1}})")}, answer), "nothing");
    EXPECT_EQ(told(answer.repairs(merged.repairs)), R"(update rec={"a":1,"b":1} | update rec.a=2)");
}

TEST_F(said_once_to_an_author, is_a_reset_where_the_page_deletes_what_it_wrote) {
    push("desk", R"({"table":"notes","id":"n","op":"delete"})");
    const auto merged = push("phone", set("title", "2", "09:10"));
    auto answer = said(merged);
    EXPECT_EQ(left_of({row("", "delete")}, answer), "nothing");
    EXPECT_EQ(told(answer.repairs(merged.repairs)), "delete | update title=2");
}

TEST_F(said_once_to_an_author, is_its_own_write_where_it_may_have_been_made_to_drop_it) {
    push("desk", R"({"table":"notes","id":"n","op":"delete"})");
    push("phone", set("title", "2", "09:10"));
    const auto merged = push("phone", set("title", "3", "09:20"));
    auto answer = said(merged);
    EXPECT_EQ(left_of({}, answer), "");
    EXPECT_EQ(told(answer.repairs(merged.repairs)), "update title=3");
}

} // namespace
} // namespace mana::sync
