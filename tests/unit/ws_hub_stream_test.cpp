// What an event stream is asked for, and what its events look like.
#include "ws_hub/stream_events.hpp"
#include "ws_hub/stream_request.hpp"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace mana::hub {
namespace {

using std::chrono::microseconds;

sync::position at(int micros) {
    return sync::position{std::chrono::sys_days{std::chrono::year{2026} / 1 / 31} + microseconds{micros}};
}

sync::shown_change removal(const std::string& table, int position) {
    sync::wire_change change;
    change.heading.table = table;
    change.heading.record_id = "r" + std::to_string(position);
    change.heading.schema_version = 1;
    change.op = sync::operation::remove;
    change.at = at(position);
    return shown(change);
}

sync::answer page_of(std::vector<sync::shown_change> changes, int until, bool has_more = false) {
    sync::answer page;
    page.server_changes = std::move(changes);
    page.synced_until = {at(until), false};
    page.has_more = has_more;
    return page;
}

TEST(stream_events, is_one_event_for_each_run_of_a_table_with_the_id_up_to_which_all_was_sent) {
    const auto page = page_of({removal("a", 1), removal("a", 2), removal("b", 3), removal("a", 4)}, 9);
    EXPECT_EQ(to_events(page),
              "event: changes\nid: 2026-01-31T00:00:00.000002Z\n"
              R"(data: {"table":"a","changes":[{"schemaVersion":1,"table":"a","id":"r1","op":"delete"},)"
              R"({"schemaVersion":1,"table":"a","id":"r2","op":"delete"}],)"
              R"("syncedUntil":"2026-01-31T00:00:00.000002Z","hasMore":true})"
              "\n\n"
              "event: changes\nid: 2026-01-31T00:00:00.000003Z\n"
              R"(data: {"table":"b","changes":[{"schemaVersion":1,"table":"b","id":"r3","op":"delete"}],)"
              R"("syncedUntil":"2026-01-31T00:00:00.000003Z","hasMore":false})"
              "\n\n"
              "event: changes\nid: 2026-01-31T00:00:00.000009Z\n"
              R"(data: {"table":"a","changes":[{"schemaVersion":1,"table":"a","id":"r4","op":"delete"}],)"
              R"("syncedUntil":"2026-01-31T00:00:00.000009Z","hasMore":false})"
              "\n\n");
}

TEST(stream_events, says_that_more_follows_a_page_that_was_cut) {
    EXPECT_NE(to_events(page_of({removal("a", 1)}, 1, true)).find(R"("hasMore":true)"), std::string::npos);
}

TEST(stream_events, is_nothing_for_a_page_without_changes) {
    EXPECT_TRUE(to_events(page_of({}, 9)).empty());
}

TEST(stream_events, keeps_the_digits_that_say_that_a_client_began_at_the_epoch) {
    auto page = page_of({removal("a", 1), removal("b", 2)}, 2, true);
    page.synced_until.from_epoch = true;
    const auto events = to_events(page);
    EXPECT_NE(events.find("id: 2026-01-31T00:00:00.00000110Z"), std::string::npos) << events;
    EXPECT_NE(events.find("id: 2026-01-31T00:00:00.00000210Z"), std::string::npos) << events;
}

TEST(heartbeat_event, has_an_id_where_the_cursor_moved_unseen) {
    const sync::cursor moved{at(7), false};
    EXPECT_EQ(heartbeat_event(nullptr), "event: heartbeat\ndata: {}\n\n");
    EXPECT_EQ(heartbeat_event(&moved), "event: heartbeat\nid: 2026-01-31T00:00:00.000007Z\ndata: {}\n\n");
}

store::page_request wanted(std::string_view query, std::string_view last_event_id = {}) {
    const auto read = parse_stream_request({"todo", query, "phone", last_event_id}, 500);
    if (!read) ADD_FAILURE() << read.error().message;
    return read ? *read : store::page_request{};
}

TEST(stream_request, is_of_all_tables_from_the_epoch_where_it_says_nothing) {
    const auto page = wanted("");
    EXPECT_EQ(page.app, "todo");
    EXPECT_TRUE(page.tables.empty());
    EXPECT_TRUE(page.since.from_epoch);
    EXPECT_FALSE(page.include_own);
    EXPECT_EQ(page.rows, 500);
}

TEST(stream_request, names_each_table_once) {
    EXPECT_EQ(wanted("collections=b,a,b&includeOwn=true").tables, (std::vector<std::string>{"b", "a"}));
    EXPECT_EQ(wanted("collections=a%2Cb").tables, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(wanted("collections=").tables.empty());
}

TEST(stream_request, goes_on_where_the_client_was_cut_off) {
    const std::string since = "2026-01-31T00:00:00.000007Z";
    EXPECT_EQ(wanted("since=" + since).since.at, at(7));
    EXPECT_EQ(wanted("since=1970-01-01T00:00:00.000Z", since).since.at, at(7));
}

TEST(stream_request, goes_by_since_where_the_last_event_id_is_none_of_ours) {
    const std::string since = "since=2026-01-31T00:00:00.000007Z";
    for (const std::string_view garbage :
         {"42", "undefined", "null", " ", "2026-01-31", "2026-13-31T00:00:00.000009Z", "\xff"})
        EXPECT_EQ(wanted(since, garbage).since.at, at(7)) << garbage;
    EXPECT_TRUE(wanted("", "42").since.from_epoch);
    EXPECT_TRUE(wanted("since=yesterday", "42").since.from_epoch);
}

TEST(stream_request, is_refused_where_it_cannot_be_read) {
    std::string many = "collections=t";
    for (std::size_t i = 0; i < collections_at_most; ++i) many += ",t" + std::to_string(i);
    for (const std::string& query : {std::string{"collections=a,,b"}, std::string{"collections=%00"},
                                     std::string{"collections=%ff"}, std::string{"since=%zz"}, many})
        EXPECT_FALSE(parse_stream_request({"todo", query, "", ""}, 500)) << query;
    EXPECT_FALSE(parse_stream_request({"todo", "", "a\x01", ""}, 500));
}

} // namespace
} // namespace mana::hub
