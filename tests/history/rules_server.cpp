#include "tests/history/rules_server.hpp"

#include "shared/sync/push_request.hpp"
#include "shared/sync/value_reader.hpp"

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace mana::history {

using namespace sync;

std::unique_ptr<server> make_server() {
    return std::make_unique<rules_server>(*parse_instant("2026-01-31T09:00:00.500Z"));
}

std::string rules_server::push(const caller& who, const std::string& body) {
    now_ += std::chrono::milliseconds{1};
    auto read_body = parse_push(body, who.client, {});
    if (!read_body) throw std::runtime_error("400 " + read_body.error().message);
    auto& request = *read_body;

    auto records = states_of(request.changes, who.user);
    const auto own_until = newest_;
    auto merged = merge_push(request.changes, {who.user, who.client, spaces_of(who.user)},
                             {now_, std::chrono::hours{24}}, records);
    for (const auto& [key, state] : records)
        if (state.touched) store(key, state, who.user);
    for (auto& row : merged.rows) append(std::move(row), who);

    auto page = read({who, {}, request.since, false, own_until, push_page_rows});
    std::ranges::transform(merged.repairs, std::back_inserter(page.server_changes), shown);
    page.conflicts = std::move(merged.conflicts);
    page.rejected = std::move(request.rejected);
    std::ranges::move(merged.rejected, std::back_inserter(page.rejected));
    std::ranges::stable_sort(page.rejected, {}, &rejection::index);
    return to_json(page);
}

std::string rules_server::pull(const caller& who, const std::string& table, const std::string& since,
                               bool include_own) {
    now_ += std::chrono::milliseconds{1};
    return to_json(read({who, table, parse_since(since), include_own, std::nullopt, pull_page_rows}));
}

std::optional<std::vector<std::string>> rules_server::spaces_of(const std::string& user) const {
    if (!memberships) return std::nullopt;
    const auto found = memberships->find(user);
    return found != memberships->end() ? found->second : std::vector<std::string>{};
}

std::vector<std::string> rules_server::scopes_of(const std::string& user) const {
    std::vector<std::string> scopes{scope_of_user(user)};
    for (const auto& space : spaces_of(user).value_or(std::vector<std::string>{}))
        scopes.push_back(scope_of_space(space));
    return scopes;
}

std::optional<record_state> rules_server::state(const record_key& key) const {
    const auto found = states_.find(key);
    if (found == states_.end()) return std::nullopt;
    const auto& row = found->second;
    auto state =
        from_stored(to_json_text(json_value{row.values}), to_json_text(json_value{row.meta}), row.home_user);
    state.tombstone = row.tombstone;
    state.marked = row.marked;
    return state;
}

record_map rules_server::states_of(const std::vector<change>& changes, const std::string& user) const {
    record_map records;
    for (const auto& scope : scopes_of(user))
        for (const auto& given : changes) {
            const record_key key{scope, given.heading.table, given.heading.record_id};
            if (auto held = state(key)) records.insert_or_assign(key, std::move(*held));
        }
    return records;
}

/// As the table takes it: all of a state where fields went, else what was changed on top of what is there.
void rules_server::store(const record_key& key, const record_state& state, const std::string& user) {
    const auto [place, is_new] = states_.try_emplace(key);
    auto& row = place->second;
    if (is_new) row.home_user = key.scope.starts_with("u:") ? user : std::string{};
    if (state.replaced) {
        row.values.clear();
        row.meta.clear();
    }
    const auto text = to_stored(state, row.home_user, !state.replaced);
    const auto values = parse_stored_json(text.values);
    const auto meta = parse_stored_json(text.meta);
    for (const auto& [name, value] : *values.as_object()) set_member(row.values, name, value);
    for (const auto& [name, value] : *meta.as_object()) set_member(row.meta, name, value);
    row.tombstone = state.tombstone;
    row.marked = state.marked;
}

void rules_server::append(log_row row, const caller& who) {
    newest_ = std::max(position{now_}, newest_ + std::chrono::microseconds{1});
    const auto read = [](const std::string& text) {
        return std::get<json_object>(parse_stored_json(text).held);
    };
    auto data = read(row.data);
    auto field_meta = read(row.field_meta);
    log_.push_back({std::move(row), std::move(data), std::move(field_meta), newest_, who.user, who.client});
}

bool rules_server::is_left_out(const logged_row& row, const page_request& wanted, bool own_mode) const {
    if (!wanted.table.empty() && row.row.heading.table != wanted.table) return true;
    const bool own =
        !wanted.who.client.empty() && row.client == wanted.who.client && row.user == wanted.who.user;
    if (!own || row.row.told) return false;
    if (own_mode && (!wanted.own_until || row.at <= *wanted.own_until)) return false;
    const auto held = state({row.row.scope, row.row.heading.table, row.row.heading.record_id});
    return !held || !held->marked;
}

answer rules_server::read(const page_request& wanted) const {
    const bool own_mode = wanted.include_own || wanted.since.from_epoch;
    const auto scopes = scopes_of(wanted.who.user);
    answer page;
    position last = std::min(wanted.since.at, newest_);
    int rows = 0;
    const auto first = std::ranges::upper_bound(log_, last, {}, &logged_row::at);
    for (auto row = first; row != log_.end(); ++row) {
        if (std::ranges::find(scopes, row->row.scope) == scopes.end()) continue;
        if (!is_left_out(*row, wanted, own_mode)) {
            if (rows == wanted.rows) {
                page.has_more = true;
                break;
            }
            ++rows;
            const auto& heading = row->row.heading;
            const auto held = state({row->row.scope, heading.table, heading.record_id});
            logged_change logged{"e" + std::to_string(row->at.time_since_epoch().count()), heading,
                                 row->row.op, row->data, shown_fields(row->data, row->field_meta, row->at)};
            std::ranges::transform(changes_of(std::move(logged), held ? &*held : nullptr),
                                   std::back_inserter(page.server_changes), sync::shown);
        }
        last = row->at;
    }
    page.synced_until = {last, page.has_more && own_mode};
    return page;
}

std::optional<json_value> rules_server::held(const std::string& user, const std::string& table,
                                             const std::string& record_id) {
    for (const auto& scope : scopes_of(user)) {
        const auto found = state({scope, table, record_id});
        if (!found) continue;
        if (found->fields.empty()) return json_value{};
        json_object record;
        for (const auto& [name, field] : found->fields) {
            const std::string root{root_of(name)};
            set_member(record, root, value_at(*found, root));
        }
        return json_value{std::move(record)};
    }
    return json_value{};
}

} // namespace mana::history
