// Pushes to one record, as lines: the operation (i, u or d), an hour, a value, and the rest is the field's
// name, of any length and with any dots, as versions without limits have stored it. An empty line begins a
// push.
//     u32a.b
#include "shared/sync/merge.hpp"
#include "shared/sync/value_reader.hpp"
#include "tests/fuzz/json_properties.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace mana::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr sync::instant midnight = std::chrono::sys_days{std::chrono::year{2026} / 1 / 31};
constexpr std::string_view user = "ann";
constexpr std::array<std::string_view, 8> values{
    "null", "0", "1", R"("")", R"({"b":{"b":1},"a":2})", "[]", R"([0,{"b":1}])", "true"};

/// ASCII without NUL: what is no UTF-8 is refused before anything is merged.
std::string name_in(std::string_view text) {
    std::string name{text};
    for (char& c : name) c = static_cast<char>(std::max(c & 0x7f, 1));
    return name;
}

sync::change change_in(std::string_view line) {
    sync::change change;
    change.heading.table = "t";
    change.heading.record_id = "r";
    change.op = line[0] == 'i' ? sync::operation::insert : sync::operation::update;
    change.hard_delete = line[0] == 'd';
    if (change.hard_delete) change.op = sync::operation::remove;
    if (change.hard_delete || line.size() < 4) return change;
    sync::field_write write;
    write.field = name_in(line.substr(3));
    write.value = sync::value_text::written(values.at(static_cast<unsigned char>(line[2]) % values.size()));
    write.at = midnight + std::chrono::hours{static_cast<unsigned char>(line[1]) % 16};
    write.from_insert = line[0] == 'i';
    if (sync::is_field(write.field)) change.writes.push_back(std::move(write));
    return change;
}

std::vector<std::vector<sync::change>> pushes_in(std::string_view text) {
    std::vector<std::vector<sync::change>> pushes(1);
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        if (end == 0)
            pushes.emplace_back();
        else
            pushes.back().push_back(change_in(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return pushes;
}

void check_state(sync::record_state& state) {
    for (const auto& [name, held] : state.fields) {
        must(!state.tombstone || held.compared > *state.tombstone, "what lives is later than the tombstone");
        sync::for_each_around(state.fields, name, [&, &inner = held](const auto& outer) {
            must(inner.compared >= outer.second.compared,
                 "what lies inside is not older than what is around");
        });
        must_survive_writing(sync::value_at(state, name));
        must_survive_writing(sync::value_at(state, name + ".b"));
    }
    const auto stored = sync::to_stored(state, user, false);
    auto read = sync::from_stored(stored.values, stored.meta, user);
    const auto again = sync::to_stored(read, user, false);
    must(again.values == stored.values && again.meta == stored.meta, "a stored state is read as it was");
    read.tombstone = state.tombstone;
    read.marked = state.marked;
    state = std::move(read);
}

void check_answer(sync::merge_outcome merged) {
    sync::answer given;
    std::ranges::transform(merged.repairs, std::back_inserter(given.server_changes), sync::shown);
    given.conflicts = std::move(merged.conflicts);
    constexpr std::size_t any_depth = 4'000;
    must(sync::parse_json(sync::to_json(given), any_depth).has_value(), "the answer is JSON");
    must(merged.fields_lost == merged.lost.size(), "each field that lost is kept");
}

void check(std::string_view text) {
    sync::record_map records;
    int hour = 16;
    for (const auto& changes : pushes_in(text)) {
        const sync::writer author{std::string{user}, hour % 2 == 0 ? "A" : "B", {}};
        const sync::merge_terms terms{midnight + std::chrono::hours{hour++}, 24h};
        for (const bool again : {false, true}) {
            auto merged = sync::merge_push(changes, author, terms, records);
            must(!again || merged.rows.empty() || std::ranges::any_of(changes, &sync::change::hard_delete),
                 "a push that is retried adds no row");
            check_answer(std::move(merged));
            for (auto& [key, state] : records) check_state(state);
        }
    }
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mana::fuzz::check(mana::fuzz::text_of(data, size));
    return 0;
}
