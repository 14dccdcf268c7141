// The JSON messages of a WebSocket (docs/protocol.md).
#include "ws_hub/messages.hpp"

#include <gtest/gtest.h>

namespace mana::hub {
namespace {

TEST(client_message, auth_carries_token_and_client) {
    const auto read = parse_client_message(R"({"type":"auth","token":"a.b.c","clientId":"phone","later":1})");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->kind, message_kind::auth);
    EXPECT_EQ(read->token, "a.b.c");
    EXPECT_EQ(read->client, "phone");
}

TEST(client_message, auth_without_client_is_of_no_client) {
    for (const char* text :
         {R"({"type":"auth","token":"a.b.c"})", R"({"type":"auth","token":"a.b.c","clientId":null})",
          R"({"type":"auth","token":"a.b.c","clientId":7})"}) {
        const auto read = parse_client_message(text);
        ASSERT_TRUE(read) << text;
        EXPECT_EQ(read->token, "a.b.c");
        EXPECT_TRUE(read->client.empty());
    }
}

TEST(client_message, auth_without_a_token_has_an_empty_one) {
    EXPECT_TRUE(parse_client_message(R"({"type":"auth"})")->token.empty());
    EXPECT_TRUE(parse_client_message(R"({"type":"auth","token":{}})")->token.empty());
}

TEST(client_message, has_kinds_that_later_versions_may_add_to) {
    EXPECT_EQ(parse_client_message(R"({"type":"ping"})")->kind, message_kind::ping);
    EXPECT_EQ(parse_client_message(R"({"type":"hello"})")->kind, message_kind::unknown);
    EXPECT_EQ(parse_client_message(R"({"type":""})")->kind, message_kind::unknown);
}

TEST(client_message_error, is_any_other_text) {
    for (const char* text : {"", "ping", "{", "[]", "null", "{}", R"({"type":1})", R"({"type":"ping"} x)",
                             "{\"type\":\"\xff\"}", R"([{"type":"ping"}])"})
        EXPECT_FALSE(parse_client_message(text)) << text;
}

TEST(server_message, is_the_documented_text) {
    EXPECT_EQ(auth_ok_message, R"({"type":"auth-ok"})");
    EXPECT_EQ(pong_message, R"({"type":"pong"})");
    EXPECT_EQ(error_message("no \"x\""), R"({"type":"error","message":"no \"x\""})");
    EXPECT_EQ(sync_available_message("todo", {"tasks", "lists"}),
              R"({"type":"sync-available","appId":"todo","tables":["lists","tasks"]})");
}

} // namespace
} // namespace mana::hub
