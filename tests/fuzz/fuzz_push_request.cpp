// The body of a push: what of it is refused, and what becomes of the rest, up to the states that are stored.
#include "shared/sync/merge.hpp"
#include "shared/sync/push_request.hpp"
#include "tests/fuzz/json_properties.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <string>
#include <vector>

namespace mana::fuzz {
namespace {

using sync::json_fault;
using sync::json_value;
using sync::push_request;
using sync::request_limits;

// Limits that a small input can reach.
constexpr request_limits tight{.changes = 3,
                               .fields = 4,
                               .nesting = 4,
                               .table_bytes = 12,
                               .record_id_bytes = 12,
                               .name_bytes = 8,
                               .field_bytes = 12,
                               .change_bytes = 300};

constexpr sync::instant receipt = std::chrono::sys_days{std::chrono::year{2026} / 1 / 31};
constexpr std::string_view user = "ann";

bool is_one_of(std::string_view code, auto... codes) {
    return ((code == codes) || ...);
}

// ---- what is refused ----

std::size_t changes_in(std::string_view body, const request_limits& limits) {
    const auto parsed = sync::parse_json(body, limits.nesting);
    if (!parsed || parsed->as_object() == nullptr) return 0;
    const auto* const changes = sync::find_member(*parsed->as_object(), "changes");
    return changes != nullptr && changes->as_array() != nullptr ? changes->as_array()->size() : 0;
}

void check_fault(const sync::request_fault& fault, std::size_t changes) {
    must(is_one_of(fault.code, "invalid_json", "invalid_request", "invalid_change", "invalid_schema_version",
                   "unsupported_schema_version", "too_many_changes"),
         "the code is a documented one");
    constexpr std::string_view index_follows = "changes[";
    const auto named = fault.message.find(index_follows);
    must(fault.code != "invalid_change" || named != std::string::npos, "a wrong change is named");
    if (named == std::string::npos) return;
    std::size_t index = 0;
    const char* const digits = fault.message.data() + named + index_follows.size();
    const auto read = std::from_chars(digits, fault.message.data() + fault.message.size(), index);
    must(read.ec == std::errc{} && index < changes, "by an index that there is");
}

void check_rejection(const sync::rejection& refused, const request_limits& limits) {
    must(is_one_of(refused.code, "nul_character", "number_out_of_range", "too_deep", "too_long", "too_large",
                   "too_many_fields", "malformed_time", "malformed_field"),
         "the code is a documented one");
    must(!refused.message.empty() && !refused.table.empty() && !refused.record_id.empty(),
         "a rejection says what and why");
    // A value that was too deep is not kept, so the change may be a good one without it.
    const auto again = sync::parse_push(R"({"changes":[)" + refused.change_text + "]}", "", limits);
    must(again.has_value(), "what is kept of a refused change can be read");
    must(refused.code == "too_deep" ||
             (again->rejected.size() == 1 && again->rejected[0].code == refused.code),
         "and is refused for the same reason");
}

// ---- what is accepted ----

void check_value(const json_value& value, const request_limits& limits) {
    constexpr std::size_t data_may_be_deeper = 1; // it has one level less around it
    must(sync::find_fault(value) == json_fault::none, "what is accepted can be stored");
    must(depth_of(value) <= limits.nesting + data_may_be_deeper, "and is not nested too deep");
    must_survive_writing(value);
}

void check_change(const sync::change& accepted, const request_limits& limits) {
    const auto& heading = accepted.heading;
    must(!heading.table.empty() && heading.table.size() <= limits.table_bytes, "a table has a usable name");
    must(!heading.record_id.empty() && heading.record_id.size() <= limits.record_id_bytes, "so has a record");
    must(heading.space.size() <= limits.name_bytes && heading.origin.size() <= limits.name_bytes,
         "and what else an index holds");
    for (const auto& text : {heading.table, heading.record_id, heading.space, heading.origin})
        must(!sync::has_nul(text), "PostgreSQL can hold the heading");
    must(!accepted.hard_delete || accepted.writes.empty(), "a hard delete writes nothing");
    constexpr std::size_t deleted_at = 1; // may stand beside them
    must(accepted.writes.size() <= limits.fields + deleted_at, "a change has a bounded number of fields");
    for (const auto& write : accepted.writes) {
        must(sync::is_field(write.field), "what is no field is not written");
        must(write.field.size() <= limits.field_bytes && sync::path_depth(write.field) < sync::most_levels,
             "a field has a usable name");
        must(!write.at || sync::parse_claim(sync::to_text(*write.at)) == write.at,
             "a claim has the one form");
        check_value(write.value, limits);
    }
}

// Accepted and rejected ones together are all, each in its place.
void check_indexes(const push_request& push, std::size_t changes) {
    std::vector<bool> seen(changes, false);
    const auto take = [&](std::size_t index) {
        must(index < changes && !seen[index], "each change has one fate");
        seen[index] = true;
    };
    for (const auto& accepted : push.changes) take(accepted.index);
    for (const auto& refused : push.rejected) take(refused.index);
    must(push.changes.size() + push.rejected.size() == changes, "no change is forgotten");
}

// ---- what becomes of it ----

void store(sync::record_map& records) {
    for (auto& [key, state] : records) {
        const auto stored = sync::to_stored(state, user, false);
        auto read = sync::from_stored(stored.values, stored.meta, user);
        read.tombstone = state.tombstone;
        read.marked = state.marked;
        const auto again = sync::to_stored(read, user, false);
        must(again.values == stored.values && again.meta == stored.meta, "a stored state is read as it was");
        state = std::move(read);
    }
}

void check_answer(sync::merge_outcome merged, std::vector<sync::rejection> rejected) {
    sync::answer given;
    std::ranges::transform(merged.repairs, std::back_inserter(given.server_changes), sync::shown);
    given.conflicts = std::move(merged.conflicts);
    given.rejected = std::move(rejected);
    constexpr std::size_t any_depth = 4'000;
    must(sync::parse_json(sync::to_json(given), any_depth).has_value(), "the answer is JSON");
}

void check_merge(const push_request& push) {
    const sync::writer author{.user = std::string{user}, .client = push.client_id, .spaces = {}};
    const sync::merge_terms terms{.receipt = receipt, .max_clock_skew = std::chrono::hours{24}};
    sync::record_map records;
    check_answer(sync::merge_push(push.changes, author, terms, records), push.rejected);
    store(records);
    auto repeated = sync::merge_push(push.changes, author, terms, records);
    // A hard delete is one more tombstone, at the time of its receipt.
    must(repeated.rows.empty() || std::ranges::any_of(push.changes, &sync::change::hard_delete),
         "a push that is retried adds no row");
    check_answer(std::move(repeated), push.rejected);
}

void check(std::string_view body, const request_limits& limits) {
    const auto push = sync::parse_push(body, "", limits);
    if (!push) {
        check_fault(push.error(), changes_in(body, limits));
        return;
    }
    must(push->client_id.size() <= limits.name_bytes && !sync::has_nul(push->client_id),
         "a client's id can be stored");
    must(push->changes.size() <= limits.changes, "a push has a bounded number of changes");
    check_indexes(*push, changes_in(body, limits));
    for (const auto& refused : push->rejected) check_rejection(refused, limits);
    for (const auto& accepted : push->changes) check_change(accepted, limits);
    check_merge(*push);
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto body = mana::fuzz::text_of(data, size);
    mana::fuzz::check(body, mana::sync::request_limits{});
    mana::fuzz::check(body, mana::fuzz::tight);
    return 0;
}
