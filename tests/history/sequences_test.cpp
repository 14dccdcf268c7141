// Histories that every server must survive. A and B are devices of one user, F a fresh one that pulls from
// the epoch; each writes with its own clock. "All" are these devices and the record as the server's state
// holds it.
#include "tests/history/device.hpp"
#include "tests/history/server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <gtest/gtest.h>
#include <initializer_list>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>

namespace mana::history {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using sync::find_member;
using sync::json_object;
using sync::json_value;
using sync::to_json_text;
using sync::to_text;

const json_value& member(const json_value& object, std::string_view key) {
    static const json_value none;
    const auto* found = object.as_object() != nullptr ? find_member(*object.as_object(), key) : nullptr;
    return found != nullptr ? *found : none;
}

std::size_t length(const json_value& list) {
    return list.as_array() != nullptr ? list.as_array()->size() : 0;
}

class sequences : public ::testing::Test {
  protected:
    device make(const std::string& client) { return device{*server_, {user_, client}}; }

    /// Sets a device's clock to a time after the history's start, off by `skew`.
    void at(device& of, milliseconds time, milliseconds skew = 0ms) {
        const auto due = start_ + time;
        if (due > server_->now()) server_->pass(due - server_->now());
        of.at(due + skew);
    }
    [[nodiscard]] std::string time(milliseconds after_start) const { return to_text(start_ + after_start); }

    /// A push of a program that keeps no store.
    json_value push_raw(const std::string& client, const std::string& changes) {
        return json(
            server_->push({user_, client}, R"({"clientId":")" + client + R"(","changes":)" + changes + "}"));
    }
    void program_deletes(const std::string& id) {
        push_raw("program", R"([{"table":"notes","id":")" + id + R"(","op":"delete"}])");
    }

    device fresh() {
        auto device = make("fresh-" + std::to_string(++fresh_devices_));
        device.pull();
        return device;
    }

    /// Rows of the log, as a reader of all of them is sent them.
    std::size_t rows() {
        std::set<std::string> events;
        std::string since;
        for (bool more = true; more;) {
            const auto page = json(server_->pull({user_, "counter"}, "notes", since, true));
            for (const auto& change : *member(page, "serverChanges").as_array())
                events.insert(*member(change, "eventId").as_string());
            since = *member(page, "syncedUntil").as_string();
            more = !member(page, "hasMore").is_null();
        }
        return events.size();
    }

    void expect_all(const std::string& id, std::string_view text, std::initializer_list<device*> devices) {
        const auto expected = text.empty() ? devices.begin()[0]->record(id) : json(text);
        const auto expect = [&](const std::string& who, const json_value& held) {
            EXPECT_TRUE(same(held, expected))
                << who << " holds " << to_json_text(held) << " instead of " << to_json_text(expected);
        };
        for (const auto* device : devices) expect(device->who().client, device->record(id));
        expect("a fresh device", fresh().record(id));
        if (const auto held = server_->held(user_, "notes", id)) expect("the server", plain(*held));
    }

    std::unique_ptr<server> server_ = make_server();
    sync::instant start_ = server_->now();
    // A running server keeps what earlier tests wrote.
    std::string user_ = "history-" + std::to_string(std::random_device{}());
    int fresh_devices_ = 0;
    device a_ = make("A");
    device b_ = make("B");
};

// Inserts without times.

TEST_F(sequences, h01_an_edit_right_after_an_add_survives_one_push) {
    at(a_, 0ms);
    a_.add("n", R"({"content":""})");
    at(a_, 50ms);
    a_.edit("n", R"({"content":"my text"})");
    EXPECT_EQ(length(member(a_.push(), "conflicts")), 0U);
    a_.sync();
    b_.sync();
    expect_all("n", R"({"content":"my text"})", {&a_, &b_});
}

TEST_F(sequences, h02_offline_edits_in_two_pushes_end_with_the_last) {
    at(a_, -1h);
    a_.add("n", R"({"content":"","title":"t"})");
    for (int i = 1; i <= 250; ++i) {
        a_.at(start_ - 1h + i * 10ms);
        a_.edit("n", R"({"content":"edit )" + std::to_string(i) + R"("})");
    }
    at(a_, 0ms);
    a_.push();
    const auto last = json(R"({"content":"edit 250","title":"t"})");
    EXPECT_TRUE(same(a_.record("n"), last)) << to_json_text(a_.record("n"));
    a_.push();
    EXPECT_EQ(a_.queued(), 0U);
    EXPECT_TRUE(same(a_.record("n"), last)) << to_json_text(a_.record("n"));
    a_.sync();
    b_.sync();
    expect_all("n", to_json_text(last), {&a_, &b_});
}

TEST_F(sequences, h03_defaults_of_a_new_device_overwrite_nothing) {
    at(a_, 0ms);
    a_.add("singleton", R"({"theme":"dark","city":"Basel"})");
    a_.sync();
    at(b_, 1s);
    b_.add("singleton", R"({"theme":"","city":""})");
    const auto answer = b_.push();
    EXPECT_EQ(length(member(answer, "conflicts")), 2U) << to_json_text(answer);
    b_.pull();
    a_.sync();
    expect_all("singleton", R"({"theme":"dark","city":"Basel"})", {&a_, &b_});
}

TEST_F(sequences, h04_an_add_that_is_pushed_twice_overwrites_no_edit_in_between) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"from A"})");
    a_.push_and_lose_the_answer();
    at(b_, 1s);
    b_.sync();
    b_.edit("n", R"({"content":"from B"})");
    b_.sync();
    const auto before = rows();
    at(a_, 2s);
    a_.sync();
    EXPECT_EQ(rows(), before);
    b_.sync();
    expect_all("n", R"({"content":"from B"})", {&a_, &b_});
}

TEST_F(sequences, h05_a_time_cut_to_its_second_still_reaches_the_inserter) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"from A"})");
    a_.push();
    const auto receipt = server_->now();
    at(b_, 200ms);
    auto cut = to_text(std::chrono::floor<std::chrono::seconds>(receipt));
    cut.erase(cut.find('.'), 4);
    push_raw("B", R"([{"table":"notes","id":"n","op":"update","fields":{"content":{"value":"from B","at":")" +
                      cut + R"("}}}])");
    a_.pull();
    expect_all("n", R"({"content":"from B"})", {&a_});
}

// Clocks.

TEST_F(sequences, h06_an_edit_by_a_slow_clock_reaches_the_device_that_added) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"from A","createdAt":"2019-01-01T00:00:00.000Z"})");
    a_.sync();
    at(b_, 60s, -10min);
    b_.pull();
    b_.edit("n", R"({"content":"from B"})");
    b_.sync();
    a_.sync();
    expect_all("n", R"({"content":"from B","createdAt":"2019-01-01T00:00:00.000Z"})", {&a_, &b_});
}

TEST_F(sequences, h07_of_two_adds_with_one_time_the_first_stays) {
    at(a_, 0ms);
    at(b_, 0ms);
    a_.add("n", R"({"content":"from A","createdAt":"2019-01-01T00:00:00.000Z"})");
    b_.add("n", R"({"content":"from B","createdAt":"2019-01-01T00:00:00.000Z"})");
    a_.sync();
    b_.sync();
    a_.sync();
    expect_all("n", R"({"content":"from A","createdAt":"2019-01-01T00:00:00.000Z"})", {&a_, &b_});
}

TEST_F(sequences, h08_a_clock_three_days_ahead_freezes_a_field_for_one_day_only) {
    at(b_, 0ms);
    b_.add("n", R"({"content":"new"})");
    b_.sync();
    at(a_, 1s, 72h);
    a_.pull();
    a_.edit("n", R"({"content":"from A"})");
    a_.sync();
    b_.pull();
    at(b_, 25h);
    b_.edit("n", R"({"content":"from B"})");
    b_.sync();
    a_.sync();
    expect_all("n", R"({"content":"from B"})", {&a_, &b_});
}

TEST_F(sequences, h09_an_edit_from_ten_years_ahead_is_stored_once) {
    at(b_, 0ms);
    b_.add("n", R"({"content":"new"})");
    b_.sync();
    at(a_, 1s, std::chrono::hours{24 * 3650});
    a_.pull();
    a_.edit("n", R"({"content":"from A"})");
    a_.push_and_lose_the_answer();
    const auto before = rows();
    at(a_, 10s, std::chrono::hours{24 * 3650});
    a_.sync();
    EXPECT_EQ(rows(), before);
    b_.sync();
    expect_all("n", R"({"content":"from A"})", {&a_, &b_});
}

TEST_F(sequences, h10_of_two_edits_in_one_millisecond_the_second_counts) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"","createdAt":")" + time(0ms) + R"("})");
    a_.edit("n", R"({"content":"same moment"})");
    a_.sync();
    const auto created = R"("createdAt":")" + time(0ms) + '"';
    expect_all("n", R"({"content":"same moment",)" + created + "}", {&a_});
    at(a_, 10ms);
    a_.edit("n", R"({"content":"first"})");
    a_.edit("n", R"({"content":"second"})");
    a_.sync();
    b_.sync();
    expect_all("n", R"({"content":"second",)" + created + "}", {&a_, &b_});
}

TEST_F(sequences, h11_times_of_every_form_compare_as_instants_cut_to_milliseconds) {
    a_.at(*sync::parse_instant("2024-05-01T09:00:00.000Z"));
    a_.add("n", R"({"t":"new"})");
    a_.sync();
    a_.at(*sync::parse_instant("2024-05-01T10:00:00.123Z"));
    a_.edit("n", R"({"tie":"browser","later":"browser","earlier":"browser","zoneless":"browser"})");
    a_.sync();
    b_.pull();
    const auto field = [](std::string_view name, std::string_view at) {
        return '"' + std::string(name) + R"(":{"value":"program","at":")" + std::string(at) + "\"}";
    };
    push_raw("program", R"([{"table":"notes","id":"n","op":"update","fields":{)" +
                            field("tie", "2024-05-01T12:00:00.123999999+02:00") + ',' +
                            field("later", "2024-05-01T04:30:00.124000000-05:30") + ',' +
                            field("earlier", "2024-05-01T10:00:00Z") + ',' +
                            field("zoneless", "2024-05-01T10:00:01") + "}}]");
    a_.pull();
    b_.pull();
    expect_all("n",
               R"({"t":"new","tie":"browser","later":"program","earlier":"browser","zoneless":"program"})",
               {&a_, &b_});
}

// Deletes.

TEST_F(sequences, h12_a_soft_delete_carries_its_other_fields_and_can_be_undone) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"text","color":"red"})");
    a_.sync();
    b_.pull();
    at(a_, 1s);
    a_.soft_delete("n", R"({"color":"gray"})");
    a_.sync();
    b_.sync();
    expect_all("n", R"({"content":"text","color":"gray","deletedAt":")" + time(1s) + "\"}", {&a_, &b_});
    at(a_, 2s);
    a_.undelete("n");
    a_.sync();
    b_.sync();
    expect_all("n", R"({"content":"text","color":"gray"})", {&a_, &b_});
}

TEST_F(sequences, h13_an_edit_of_a_soft_deleted_record_does_not_bring_it_back) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"text","color":"red"})");
    a_.sync();
    b_.pull();
    at(a_, 1s);
    a_.soft_delete("n");
    a_.sync();
    a_.purge("n");
    at(b_, 2s);
    b_.edit("n", R"({"color":"blue"})");
    b_.sync();
    a_.sync();
    auto fresh_device = fresh();
    for (const auto* device : {&a_, &b_, &fresh_device})
        EXPECT_EQ(to_json_text(member(device->record("n"), "deletedAt")), '"' + time(1s) + '"')
            << device->who().client;
}

TEST_F(sequences, h14_an_edit_after_a_hard_delete_revives_its_own_field_only) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"text","color":"red"})");
    a_.sync();
    b_.pull();
    program_deletes("n");
    at(a_, 10s);
    a_.edit("n", R"({"color":"blue"})");
    a_.push_and_lose_the_answer();
    a_.pull();
    a_.sync();
    b_.sync();
    expect_all("n", R"({"color":"blue"})", {&a_, &b_});
}

TEST_F(sequences, h15_a_stale_write_ends_with_the_record_as_it_was_made_anew) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"old","color":"red"})");
    a_.sync();
    b_.pull();
    b_.at(start_ - 1s);
    b_.edit("n", R"({"color":"stale"})");
    at(a_, 5s);
    program_deletes("n");
    at(a_, 10s);
    push_raw("program", R"([{"table":"notes","id":"n","op":"insert","data":{"content":"anew","createdAt":")" +
                            time(10s) + R"("}}])");
    b_.sync();
    a_.sync();
    expect_all("n", R"({"content":"anew","createdAt":")" + time(10s) + "\"}", {&b_, &a_});
}

// Objects.

TEST_F(sequences, h16_a_later_object_takes_the_place_of_an_edit_inside_the_former) {
    at(a_, 0ms);
    a_.add("n", R"({"rec":null})");
    a_.sync();
    b_.pull();
    at(a_, 1s);
    a_.edit("n", R"({"rec":{"unit":"d","int":1}})");
    at(a_, 2s);
    a_.edit("n", R"({"rec.int":2})");
    at(b_, 3s);
    b_.edit("n", R"({"rec":{"unit":"w","int":5}})");
    b_.sync();
    a_.sync();
    b_.sync();
    expect_all("n", R"({"rec":{"unit":"w","int":5}})", {&a_, &b_});
}

TEST_F(sequences, h17_an_edit_inside_an_object_that_was_taken_away) {
    at(a_, 0ms);
    a_.add("n", R"({"rec":{"unit":"d","int":1}})");
    a_.sync();
    b_.pull();
    at(b_, 1s);
    b_.edit("n", R"({"rec":null})");
    at(a_, 2s);
    a_.edit("n", R"({"rec.int":2})");
    b_.sync();
    a_.sync();
    b_.sync();
    expect_all("n", "", {&a_, &b_});
}

TEST_F(sequences, h18_a_fresh_device_sees_the_inner_value_and_no_dotted_key) {
    at(a_, 0ms);
    a_.add("n", R"({"rec":{"unit":"d","int":1}})");
    a_.sync();
    at(a_, 1s);
    a_.edit("n", R"({"rec.int":2})");
    a_.sync();
    expect_all("n", R"({"rec":{"unit":"d","int":2}})", {&a_});
}

TEST_F(sequences, h18_a_record_that_lives_by_an_inner_value_alone_has_no_dotted_key) {
    at(a_, 0ms);
    a_.add("n", R"({"rec":{"unit":"d","int":1}})");
    a_.sync();
    b_.pull();
    program_deletes("n");
    at(a_, 10s);
    a_.edit("n", R"({"rec.int":2})");
    a_.sync();
    b_.sync();
    expect_all("n", R"({"rec":{"int":2}})", {&a_, &b_});
}

// Own changes and pages.

TEST_F(sequences, h19_a_wiped_store_is_filled_again_on_every_page) {
    constexpr int notes = 1'150;
    at(a_, 0ms);
    for (int i = 0; i < notes; ++i)
        a_.add("n" + std::to_string(i), R"({"number":)" + std::to_string(i) + "}");
    a_.sync();
    a_.wipe();
    a_.pull();
    int held = 0;
    for (int i = 0; i < notes; ++i) held += a_.holds("n" + std::to_string(i)) ? 1 : 0;
    EXPECT_EQ(held, notes);
}

TEST_F(sequences, h20_turns_of_edits_with_lost_answers_and_pulls_between) {
    at(a_, 0ms);
    a_.add("n", R"({"content":"0","color":"red"})");
    a_.push_and_lose_the_answer();
    b_.pull();
    for (int turn = 1; turn <= 8; ++turn) {
        at(b_, turn * 10s, -3s);
        b_.edit("n", R"({"content":"B)" + std::to_string(turn) + R"("})");
        b_.sync();
        if (turn % 3 == 0) a_.pull();
        at(a_, turn * 10s + 5s, turn % 2 == 0 ? 4s : -9s);
        a_.edit("n", R"({"content":"A)" + std::to_string(turn) + R"("})");
        a_.push_and_lose_the_answer();
        if (turn % 2 == 0) b_.pull();
    }
    a_.sync();
    b_.sync();
    a_.sync();
    expect_all("n", "", {&a_, &b_});
}

TEST_F(sequences, h21_no_change_is_missed_between_a_cut_push_and_the_pulls_after_it) {
    constexpr int waiting = 6'000;
    at(a_, 0ms);
    a_.add("mine", R"({"content":"first"})");
    a_.sync();
    at(b_, 1s);
    for (int i = 0; i < waiting; ++i)
        b_.add("n" + std::to_string(i), R"({"number":)" + std::to_string(i) + "}");
    b_.sync();

    at(a_, 2s);
    a_.edit("mine", R"({"content":"second"})");
    const auto answer = a_.push();
    EXPECT_EQ(length(member(answer, "serverChanges")), 5'000U);
    EXPECT_EQ(to_json_text(member(answer, "hasMore")), "true");
    int meanwhile = 0;
    for (bool more = true; more;) {
        at(b_, 3s + meanwhile * 1ms);
        b_.add("meanwhile" + std::to_string(meanwhile++), R"({"number":1})");
        b_.push();
        more = !member(a_.pull_page("notes"), "hasMore").is_null();
    }
    a_.pull();
    int held = 0;
    for (int i = 0; i < waiting; ++i) held += a_.holds("n" + std::to_string(i)) ? 1 : 0;
    EXPECT_EQ(held, waiting);
    for (int i = 0; i < meanwhile; ++i) EXPECT_TRUE(a_.holds("meanwhile" + std::to_string(i))) << i;
}

// Old habits that must not block a queue.

TEST_F(sequences, h22_odd_changes_of_old_clients_land) {
    const auto answer = push_raw("old", R"([
        {"table":"notes","id":"numeric","op":"insert","data":{"content":"text","createdAt":1546300800000}},
        {"table":"notes","id":"numeric","op":"update","fields":{}},
        {"table":"notes","id":"numeric","op":"update","fields":{"color":{"at":")" +
                                            time(0ms) + R"("}}},
        {"table":"notes","id":"surrogate","op":"insert","data":{"content":"cut \ud83d"}}])");
    EXPECT_TRUE(member(answer, "rejected").is_null()) << to_json_text(answer);
    a_.pull();
    expect_all("numeric", R"({"content":"text","createdAt":1546300800000})", {&a_});
    expect_all("surrogate", "{\"content\":\"cut \xef\xbf\xbd\"}", {&a_});
}

TEST_F(sequences, h23_a_change_that_cannot_be_stored_is_refused_alone) {
    const auto answer = push_raw("old", R"([
        {"table":"notes","id":"good1","op":"insert","data":{"content":"one"}},
        {"table":"notes","id":"nul","op":"insert","data":{"content":"a\u0000b"}},
        {"table":"notes","id":"good2","op":"insert","data":{"content":"two"}},
        {"table":"notes","id":"good1","op":"update","fields":{"color":{"value":"red","at":"yesterday"}}},
        {"table":"notes","id":"huge","op":"insert","data":{"content":1e400}},
        {"table":"notes","id":"good3","op":"insert","data":{"content":"three"}}])");
    const auto& rejected = member(answer, "rejected");
    ASSERT_EQ(length(rejected), 3U) << to_json_text(answer);
    std::string indexes;
    for (const auto& one : *rejected.as_array()) indexes += to_json_text(member(one, "index")) + ' ';
    EXPECT_EQ(indexes, "1 3 4 ");
    a_.pull();
    expect_all("good1", R"({"content":"one"})", {&a_});
    expect_all("good2", R"({"content":"two"})", {&a_});
    expect_all("good3", R"({"content":"three"})", {&a_});
    EXPECT_FALSE(a_.holds("nul") || a_.holds("huge"));
}

// Few bytes.

TEST_F(sequences, a_queue_of_thousands_of_ones_own_edits_is_answered_in_a_few_bytes) {
    constexpr int records = 200; // the first push has all of them, and no edit
    constexpr int edits = 3'000;
    constexpr std::size_t most_bytes = 2'000;
    at(a_, -1h);
    for (int i = 0; i < records; ++i)
        a_.add("n" + std::to_string(i), R"({"title":"","content":"some text of usual length","done":false})");
    for (int i = 0; i < edits; ++i) {
        a_.at(start_ - 1h + i * 500ms);
        a_.edit("n" + std::to_string(i % records), R"({"title":"edit )" + std::to_string(i) + R"("})");
    }
    at(a_, 0ms);
    std::size_t longest = 0;
    while (a_.queued() > 0) longest = std::max(longest, to_json_text(a_.push()).size());
    std::printf("the longest answer to a batch of 200 has %zu bytes\n", longest);
    EXPECT_LT(longest, most_bytes);
    b_.sync();
    expect_all("n0", R"({"title":"edit 2800","content":"some text of usual length","done":false})",
               {&a_, &b_});
}

} // namespace
} // namespace mana::history
