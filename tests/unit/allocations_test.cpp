// How often the rules ask for memory: of all that a push costs before and under its scope's lock, this can be
// counted exactly, on any machine. The program counts by operators of its own, so it is alone in it.
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"
#include "shared/sync/record.hpp"
#include "shared/sync/shown_row.hpp"
#include "shared/sync/wire.hpp"
#include "tests/bench/sample.hpp"

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <gtest/gtest.h>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::sync {
namespace {

/// Of the whole program, which has one thread.
std::size_t& allocations_so_far() {
    static std::size_t count = 0;
    return count;
}

void* counted(std::size_t bytes) {
    ++allocations_so_far();
    if (void* const memory = std::malloc(bytes != 0 ? bytes : 1); memory != nullptr) return memory;
    throw std::bad_alloc();
}

} // namespace
} // namespace mana::sync

void* operator new(std::size_t bytes) {
    return mana::sync::counted(bytes);
}
void* operator new[](std::size_t bytes) {
    return mana::sync::counted(bytes);
}
// What a stable sort asks for.
void* operator new(std::size_t bytes, const std::nothrow_t& /*none*/) noexcept {
    ++mana::sync::allocations_so_far();
    return std::malloc(bytes != 0 ? bytes : 1);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t /*bytes*/) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept {
    std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t& /*none*/) noexcept {
    std::free(memory);
}

namespace mana::sync {
namespace {

constexpr std::string_view eight = "2026-01-31T08:00:00.000Z";
constexpr std::string_view nine = "2026-01-31T09:00:00.000Z";
constexpr std::string_view ten = "2026-01-31T10:00:00.000Z";
const merge_terms terms{*parse_instant("2026-01-31T11:00:00.000Z"), std::chrono::hours{24}};

using make_change = std::string (*)(std::string_view id, std::string_view at, int number);

/// Names as long as those of real clients: uuids do not fit into a short string.
const writer& author() {
    static const writer held{"4ce1b3f0-5ad5-4d5f-9b39-0ad6f0b0a001", "7b0c8f5e-91c3-47a7-8a3c-3f0f5f3ac002",
                             std::nullopt};
    return held;
}

std::string body_of(int count, make_change make, std::string_view at) {
    std::vector<std::string> changes;
    for (int i = 0; i < count; ++i)
        changes.push_back(make("019c0f2e-7a6b-7c3d-8e4f-" + std::to_string(100'000'000'000 + i), at, i));
    return bench::push_body(author().client, "2026-01-31T09:00:00.000000Z", changes);
}

std::vector<change> changes_in(const std::string& body) {
    auto read = parse_push(body, "", {});
    if (!read || !read->rejected.empty()) throw std::runtime_error("the sample push is not accepted");
    return std::move(read->changes);
}

stored_record stored(const record_state& state) {
    return to_stored(state, author().user, false);
}

/// Records as they come out of the database.
record_map held_records(int count) {
    record_map merged;
    merge_push(changes_in(body_of(count, bench::sample_insert, nine)), author(), terms, merged);
    record_map records;
    for (const auto& [key, state] : merged) {
        const auto text = stored(state);
        records.emplace(key, from_stored(text.values, text.meta, author().user));
    }
    return records;
}

template<class Work>
std::size_t allocations_of(const Work& work) {
    const auto before = allocations_so_far();
    work();
    return allocations_so_far() - before;
}

/// Bounds are what was counted when they were set, and a few percent.
void expect_at_most(double bound, std::size_t counted, int items) {
    const double of_each = static_cast<double>(counted) / items;
    std::cout << "  " << of_each << " allocations each, " << bound << " at most\n";
    EXPECT_LE(of_each, bound) << "passed by " << (of_each / bound - 1) * 100 << " %";
}

std::size_t to_merge(int count, make_change make, std::string_view at, record_map records) {
    const auto changes = changes_in(body_of(count, make, at));
    std::size_t rows = 0;
    const auto counted = allocations_of([&] {
        const auto merged = merge_push(changes, author(), terms, records);
        rows = merged.rows.size();
    });
    EXPECT_EQ(rows, static_cast<std::size_t>(count)) << "not all changes won";
    return counted;
}

TEST(allocations, of_reading_a_push) {
    const auto body = body_of(200, bench::sample_insert, nine);
    expect_at_most(21, allocations_of([&] { changes_in(body); }), 200);
}

TEST(allocations, of_merging_new_records) {
    expect_at_most(22.2, to_merge(200, bench::sample_insert, nine, {}), 200);
}

TEST(allocations, of_merging_updates_that_win) {
    expect_at_most(9.2, to_merge(200, bench::sample_update, ten, held_records(200)), 200);
}

TEST(allocations, of_reading_a_stored_record) {
    const auto text = stored(held_records(1).begin()->second);
    expect_at_most(56, allocations_of([&] { from_stored(text.values, text.meta, author().user); }), 1);
}

TEST(allocations, of_writing_a_stored_record) {
    const auto records = held_records(1);
    expect_at_most(10.2, allocations_of([&] { stored(records.begin()->second); }), 1);
}

// ---- in proportion to what is given ----

/// An update of `count` fields, named `before` and a number.
std::string fields_update(std::string_view before, int count, std::string_view at) {
    std::string fields;
    for (int i = 0; i < count; ++i)
        fields.append(i == 0 ? "\"" : ",\"")
            .append(before)
            .append(std::to_string(100'000 + i))
            .append(R"(":{"value":"a value that is longer than a short string","at":")")
            .append(at)
            .append("\"}");
    return R"({"table":"notes","id":"019c0f2e-7a6b-7c3d-8e4f-100000000000","op":"update","fields":{)" +
           fields + "}}";
}

/// A record that holds, at nine, an object at `a`.
record_map with_an_object(int members) {
    std::string value;
    for (int i = 0; i < members; ++i)
        value.append(i == 0 ? "\"" : ",\"")
            .append(std::to_string(100'000 + i))
            .append(R"(":"also longer than a short string")");
    const auto body =
        R"({"changes":[{"table":"notes","id":"019c0f2e-7a6b-7c3d-8e4f-100000000000","op":"update","fields":)"
        R"({"a":{"value":{)" +
        value + R"(},"at":")" + std::string(nine) + "\"}}}]}";
    record_map records;
    merge_push(changes_in(body), author(), terms, records);
    return records;
}

/// Of twice as much, hardly more than twice as often.
template<class Count>
void expect_in_proportion(const char* what, const Count& count) {
    const auto once = static_cast<double>(count(250));
    const auto twice = static_cast<double>(count(500));
    EXPECT_LE(twice, 2.1 * once) << what << ": " << once << ", of twice as much " << twice;
}

std::size_t of_one_change(const std::string& change, record_map records) {
    const auto body = bench::push_body("", "", {change});
    return allocations_of([&] { merge_push(changes_in(body), author(), terms, records); });
}

TEST(allocations, grow_with_the_changes) {
    expect_in_proportion("new", [](int count) { return to_merge(count, bench::sample_insert, nine, {}); });
    expect_in_proportion(
        "winning", [](int count) { return to_merge(count, bench::sample_update, ten, held_records(count)); });
    expect_in_proportion("of one record", [](int count) {
        std::vector<std::string> changes(static_cast<std::size_t>(count), bench::sample_update("n", ten, 1));
        const auto body = bench::push_body("", "", changes);
        record_map records;
        return allocations_of([&] { merge_push(changes_in(body), author(), terms, records); });
    });
}

TEST(allocations, grow_with_the_fields_of_a_change) {
    expect_in_proportion("new", [](int count) { return of_one_change(fields_update("f", count, nine), {}); });
    expect_in_proportion("dotted",
                         [](int count) { return of_one_change(fields_update("a.", count, ten), {}); });
    expect_in_proportion("dotted, inside what is held", [](int count) {
        return of_one_change(fields_update("a.", count, ten), with_an_object(count));
    });
    expect_in_proportion("dotted, that lose to what is held", [](int count) {
        return of_one_change(fields_update("a.", count, eight), with_an_object(count));
    });
}

/// A record that holds, at nine, fields inside `a` and nothing around them.
record_map with_fields_inside(int count) {
    record_map records;
    merge_push(changes_in(bench::push_body("", "", {fields_update("a.", count, nine)})), author(), terms,
               records);
    for (auto& [key, state] : records)
        for (auto& [name, held] : state.fields) held.fresh = false;
    return records;
}

/// One change after the other to one record: each wins a field inside `a` and loses another.
std::size_t of_winning_and_losing(int count) {
    std::vector<std::string> changes;
    for (int i = 0; i < count; ++i)
        changes.push_back(
            R"({"table":"notes","id":"019c0f2e-7a6b-7c3d-8e4f-100000000000","op":"update","fields":{"a.w)" +
            std::to_string(100'000 + i) + R"(":{"value":1,"at":")" + std::string(ten) + R"("},"a.)" +
            std::to_string(100'000 + i) + R"(.in":{"value":1,"at":")" + std::string(eight) + "\"}}}");
    const auto body = bench::push_body("", "", changes);
    auto records = with_an_object(count);
    return allocations_of([&] { merge_push(changes_in(body), author(), terms, records); });
}

TEST(allocations, grow_with_what_is_held_under_one_root) {
    expect_in_proportion("won and lost in turns", of_winning_and_losing);
    expect_in_proportion("an object that goes around what is held inside it", [](int count) {
        return of_one_change(
            R"({"table":"notes","id":"019c0f2e-7a6b-7c3d-8e4f-100000000000","op":"update","fields":{"a":{"value":{},"at":")" +
                std::string(eight) + "\"}}}",
            with_fields_inside(count));
    });
}

TEST(allocations, grow_with_what_is_refused_and_what_is_lost) {
    expect_in_proportion("refused", [](int count) {
        const std::vector<std::string> changes(static_cast<std::size_t>(count),
                                               R"({"table":"t","id":"i","op":"insert","data":{"n":1e999}})");
        const auto body = bench::push_body("", "", changes);
        return allocations_of([&] { (void)parse_push(body, "", {}); });
    });
    expect_in_proportion("lost", [](int count) {
        auto records = held_records(count);
        const auto changes = changes_in(body_of(count, bench::sample_update, eight));
        return allocations_of([&] { merge_push(changes, author(), terms, records); });
    });
}

/// A push names paths of up to 128 levels; versions that took any name have stored longer ones.
TEST(allocations, do_not_grow_with_the_dots_of_a_name) {
    const auto beside = [](std::size_t dots) {
        auto records = with_an_object(1);
        auto& held = records.begin()->second.fields;
        held[std::string("a") + std::string(dots, '.')] = held.at("a");
        return of_one_change(fields_update("a.", 10, ten), std::move(records));
    };
    EXPECT_LE(beside(100'000), beside(1'000) + 10);
}

TEST(allocations, of_writing_an_answer) {
    constexpr int count = 1'000;
    std::vector<wire_change> changes;
    for (const auto& [key, state] : held_records(count)) {
        std::vector<std::string> names;
        for (const auto& [name, field] : state.fields) names.push_back(name);
        change_heading heading;
        heading.table = key.table;
        heading.record_id = key.record_id;
        for (auto& change : changes_of(heading, state, names, {})) changes.push_back(std::move(change));
    }
    ASSERT_EQ(changes.size(), std::size_t{count});
    const auto write = [&] {
        answer page;
        for (const auto& change : changes) page.server_changes.push_back(shown(change));
        EXPECT_FALSE(to_json(page).empty());
    };
    expect_at_most(13.5, allocations_of(write), count);
}

TEST(allocations, of_writing_a_page_of_the_log) {
    constexpr int count = 1'000;
    const stored_row row{.event_id = "019c0f2e-7a6b-7c3d-8e4f-0123456789ab",
                         .table = "notes",
                         .record_id = "0123456789abcdef0123456789abcdef",
                         .op = "update",
                         .data = R"({"done": true, "title": "Buy rolls 1"})",
                         .field_meta =
                             R"({"done": "2026-01-31T09:00:00.000Z", "title": "2026-01-31T09:00:00.000Z"})",
                         .schema_version = "1",
                         .actor = {},
                         .origin = {},
                         .space = {},
                         .at = {}};
    const auto write = [&] {
        answer page;
        row_writer writer(page.server_changes);
        for (int i = 0; i < count; ++i) writer.write(row, nullptr, {});
        EXPECT_FALSE(to_json(page).empty());
    };
    expect_at_most(1.2, allocations_of(write), count);
}

} // namespace
} // namespace mana::sync
