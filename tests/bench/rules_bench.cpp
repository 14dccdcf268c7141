// What the rules cost without any I/O: reading a push, merging it, bringing states and rows to the form of
// their columns and back, writing an answer, and verifying a token. The names are as long as those of real
// clients, and the bytes are those of the push's body, of the stored texts, of the answer or of the token.
#include "shared/gate/token.hpp"
#include "shared/gate/token_cache.hpp"
#include "shared/store/scope_states.hpp"
#include "shared/sync/cursor.hpp"
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"
#include "shared/sync/record.hpp"
#include "shared/sync/shown_row.hpp"
#include "shared/sync/time.hpp"
#include "shared/sync/wire.hpp"
#include "tests/bench/sample.hpp"
#include "tests/unit/token_maker.hpp"

#include <benchmark/benchmark.h>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace mana::bench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view held_time = "2026-01-31T09:00:00.000Z";
constexpr std::string_view earlier = "2026-01-31T08:00:00.000Z";
constexpr std::string_view later = "2026-01-31T10:00:00.000Z";
const sync::merge_terms terms{*sync::parse_instant("2026-01-31T11:00:00.000Z"), 24h};
const sync::writer author{"4ce1b3f0-5ad5-4d5f-9b39-0ad6f0b0a001", "7b0c8f5e-91c3-47a7-8a3c-3f0f5f3ac002",
                          std::nullopt};

using make_change = std::string (*)(std::string_view id, std::string_view at, int number);

std::string body_of(int count, make_change make, std::string_view at) {
    std::vector<std::string> changes;
    for (int i = 0; i < count; ++i)
        changes.push_back(make("019c0f2e-7a6b-7c3d-8e4f-" + std::to_string(100'000'000'000 + i), at, i));
    return push_body("client-1", "2026-01-31T09:00:00.000000Z", changes);
}

std::vector<sync::change> changes_in(const std::string& body) {
    auto read = sync::parse_push(body, "", {});
    if (!read || !read->rejected.empty()) throw std::runtime_error("the sample push is not accepted");
    return std::move(read->changes);
}

sync::record_map new_records(int count) {
    sync::record_map records;
    sync::merge_push(changes_in(body_of(count, sample_insert, held_time)), author, terms, records);
    return records;
}

/// Records as they come out of the database.
sync::record_map held_records(int count) {
    sync::record_map records;
    for (const auto& [key, state] : new_records(count)) {
        const auto stored = sync::to_stored(state, author.user, false);
        records.emplace(key, sync::from_stored(stored.values, stored.meta, author.user));
    }
    return records;
}

void count_work(benchmark::State& state, int items, std::size_t bytes) {
    state.SetItemsProcessed(state.iterations() * items);
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

/// A row of the log as PostgreSQL gives it.
struct printed_row {
    std::string data;
    std::string field_meta;

    [[nodiscard]] sync::stored_row stored(std::string_view op) const {
        return {"019c0f2e-7a6b-7c3d-8e4f-0123456789ab",
                "notes",
                "note-1",
                op,
                data,
                field_meta,
                "1",
                {},
                {},
                {},
                {}};
    }
};

printed_row printed(make_change make) {
    sync::record_map records;
    auto merged = sync::merge_push(changes_in(body_of(1, make, held_time)), author, terms, records);
    return {std::move(merged.rows.front().data), std::move(merged.rows.front().field_meta)};
}

void parse_push(benchmark::State& state) {
    const auto count = static_cast<int>(state.range(0));
    const std::string body = body_of(count, sample_insert, held_time);
    for (auto _ : state) benchmark::DoNotOptimize(sync::parse_push(body, "", {}));
    count_work(state, count, body.size());
}
BENCHMARK(parse_push)->Arg(1)->Arg(200)->Unit(benchmark::kMicrosecond);

void merge(benchmark::State& state, make_change make, std::string_view at, bool held, bool wins) {
    constexpr int count = 200;
    const auto body = body_of(count, make, at);
    const auto given = changes_in(body);
    const auto before = held ? held_records(count) : sync::record_map{};
    std::size_t rows = 0;
    for (auto _ : state) {
        state.PauseTiming();
        auto records = before;
        state.ResumeTiming();
        const auto merged = sync::merge_push(given, author, terms, records);
        rows = merged.rows.size();
    }
    if (rows != (wins ? std::size_t{count} : 0)) state.SkipWithError("the push did not end as it should");
    count_work(state, count, body.size());
}
BENCHMARK_CAPTURE(merge, 200_new, sample_insert, held_time, false, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(merge, 200_winning, sample_update, later, true, true)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(merge, 200_losing, sample_update, earlier, true, false)->Unit(benchmark::kMicrosecond);

/// A page: its rows as changes, and the answer around them.
void rows_to_json(benchmark::State& state, make_change make, std::string_view op) {
    constexpr int count = 1'000;
    const auto row = printed(make);
    std::size_t bytes = 0;
    for (auto _ : state) {
        sync::answer answer;
        sync::row_writer writer(answer.server_changes);
        for (int i = 0; i < count; ++i) writer.write(row.stored(op), nullptr, {});
        bytes = sync::to_json(answer).size();
    }
    count_work(state, count, bytes);
}
BENCHMARK_CAPTURE(rows_to_json, 1000_inserts, sample_insert, "insert")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(rows_to_json, 1000_updates, sample_update, "update")->Unit(benchmark::kMicrosecond);

void parse_since(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(sync::parse_since("2026-01-31T09:00:00.123456Z"));
}
BENCHMARK(parse_since);

void parse_instant(benchmark::State& state, std::string_view text) {
    for (auto _ : state) benchmark::DoNotOptimize(sync::parse_instant(text));
}
BENCHMARK_CAPTURE(parse_instant, utc, "2026-01-31T09:00:00.123Z");
BENCHMARK_CAPTURE(parse_instant, offset, "2026-01-31T09:00:00.123456789+05:30");

std::size_t bytes_of(const sync::stored_record& stored) {
    return stored.values.size() + stored.meta.size();
}

void record_from_stored(benchmark::State& state) {
    const auto records = new_records(1);
    const auto stored = sync::to_stored(records.begin()->second, author.user, false);
    for (auto _ : state) benchmark::DoNotOptimize(sync::from_stored(stored.values, stored.meta, author.user));
    count_work(state, 1, bytes_of(stored));
}
BENCHMARK(record_from_stored);

void record_to_stored(benchmark::State& state) {
    const auto records = new_records(1);
    std::size_t bytes = 0;
    for (auto _ : state) bytes = bytes_of(sync::to_stored(records.begin()->second, author.user, false));
    count_work(state, 1, bytes);
}
BENCHMARK(record_to_stored);

void row_to_stored(benchmark::State& state) {
    sync::record_map records;
    const auto merged =
        sync::merge_push(changes_in(body_of(1, sample_insert, held_time)), author, terms, records);
    std::size_t bytes = 0;
    for (auto _ : state) {
        const auto stored = store::to_stored(merged.rows.front());
        bytes = stored.data.value().size() + stored.field_meta.size();
    }
    count_work(state, 1, bytes);
}
BENCHMARK(row_to_stored);

void verify_token(benchmark::State& state, bool met_before) {
    const testing::signing_key key{7};
    gate::key_set keys{[&]() -> gate::fetch_result {
        return gate::http_reply{200, testing::jwks(key.jwk("main"))};
    }};
    gate::token_cache met{keys};
    const auto token = testing::make_token(key, R"({"alg":"EdDSA","kid":"main","typ":"JWT"})",
                                           R"({"sub":"user-1","exp":1800000600})");
    constexpr std::chrono::sys_seconds now{1'800'000'000s};
    for (auto _ : state) {
        const auto found = met_before ? met.verify(token, now, {}) : gate::verify_token(token, keys, now, {});
        if (!found) state.SkipWithError("the token is refused");
    }
    count_work(state, 1, token.size());
}
BENCHMARK_CAPTURE(verify_token, new, false)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(verify_token, met_before, true)->Unit(benchmark::kMicrosecond);

} // namespace
} // namespace mana::bench

BENCHMARK_MAIN();
