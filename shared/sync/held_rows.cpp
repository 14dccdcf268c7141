#include "shared/sync/held_rows.hpp"

#include <algorithm>

namespace mana::sync {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds beyond{1};
constexpr std::chrono::seconds whole_day{86'400};

} // namespace

bool held_rows::settles(position row, const insert_hold& hold, instant now) {
    if (at_once_) return true;
    const auto due_at = hold.until + settling;
    const auto second =
        std::chrono::floor<std::chrono::seconds>(now - std::chrono::floor<std::chrono::days>(now));
    if (since_.due_since) {
        // The cursor has a second of the day. A row that became due after that is another one.
        const auto waited = (second - *since_.due_since + whole_day) % whole_day;
        const bool was_due = due_at <= now - waited + 1s;
        if (was_due && waited >= time_to_push) return true;
        if (was_due) due_since_ = since_.due_since;
    }
    if (!due_since_ && now >= due_at) due_since_ = second;
    if (!first_) first_ = row;
    return false;
}

bool held_rows::was_shown(position row, bool held, std::string_view table, std::string_view record_id) {
    const bool before = since_.shown_until && row <= *since_.shown_until && (one_table_ || !since_.one_table);
    if (!before) return false;
    const std::pair<std::string, std::string> record{table, record_id};
    if (held) again_.insert(record);
    return !again_.contains(record);
}

cursor held_rows::end_of_page(position end) const {
    constexpr std::chrono::microseconds before{1};
    if (!first_ || end - *first_ > longest_) return {.at = end};
    return {.at = std::max(since_.at, *first_ - before),
            .shown_until = end,
            .due_since = due_since_,
            .one_table = one_table_};
}

instant shown_to(const held_field& held, std::string_view user, std::string_view client, instant now) {
    const auto* hold = find_hold(held.holds, user, client);
    if (hold == nullptr || (held.user.text() == user && held.client.text() == client)) return held.shown;
    return std::max(held.shown, now >= hold->until + settling ? hold->until + beyond : hold->likely);
}

name_set fields_of(const record_state& record, std::string_view user, std::string_view client) {
    name_set own;
    if (record.dropped || client.empty()) return own;
    for (const auto& [name, held] : record.fields)
        if (held.user.text() == user && held.client.text() == client) own.insert(name);
    return own;
}

void show_to_inserter(std::vector<shown_field>& fields, const insert_hold& held, const record_state& record,
                      bool settled) {
    for (auto& field : fields) {
        const auto now = record.fields.find(field.name);
        if (now == record.fields.end() || held.is_of(now->second.user.text(), now->second.client.text()))
            continue;
        const auto* hold = find_hold(now->second.holds, held.user.text(), held.client.text());
        if (hold != nullptr) field.at = std::max(field.at, settled ? hold->until + beyond : hold->likely);
    }
}

} // namespace mana::sync
