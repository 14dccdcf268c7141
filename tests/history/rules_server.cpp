#include "tests/history/rules_server.hpp"

#include "shared/sync/held_rows.hpp"
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
                             {.receipt = now_,
                              .max_clock_skew = std::chrono::hours{24},
                              .author_clock = request.author_clock,
                              .since = request.since},
                             records);
    for (const auto& [key, state] : records)
        if (state.touched) store(key, state, who.user);
    for (auto& row : merged.rows) append(std::move(row), who);

    // Own rows of this push are behind the page, but for who has no client id, and so none of its own.
    const auto until = who.client.empty() ? newest_ : own_until;
    const writer author{who.user, who.client, spaces_of(who.user)};
    said_once said{request.changes, author, now_, records, merged.repairs};
    auto page = read({who,
                      {},
                      request.since,
                      false,
                      own_until,
                      until,
                      push_page_rows,
                      is_slow_clock(request.author_clock, now_)},
                     said);
    auto told = said.repairs(std::move(merged.repairs));
    std::vector<shown_change> first;
    std::ranges::transform(told, std::back_inserter(first), shown);
    page.server_changes.insert(page.server_changes.begin(), first.begin(), first.end());
    page.conflicts = std::move(merged.conflicts);
    page.rejected = std::move(request.rejected);
    std::ranges::move(merged.rejected, std::back_inserter(page.rejected));
    std::ranges::stable_sort(page.rejected, {}, &rejection::index);
    return to_json(page);
}

std::string rules_server::pull(const caller& who, const std::string& table, const std::string& since,
                               bool include_own) {
    now_ += std::chrono::milliseconds{1};
    said_once said;
    return to_json(read({who, table, parse_since(since), include_own, {}, {}, pull_page_rows, false}, said));
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
    state.dropped = row.dropped;
    state.refused = row.refused;
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
    row.dropped = state.dropped;
    row.refused = state.refused;
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

std::optional<record_state> rules_server::state_of(const logged_row& row) const {
    return state({row.row.scope, row.row.heading.table, row.row.heading.record_id});
}

/// Whether it is the reader's, who has no other reason to be shown it than its record's mark.
bool rules_server::is_own(const logged_row& row, const page_request& wanted) const {
    const bool own =
        !wanted.who.client.empty() && row.client == wanted.who.client && row.user == wanted.who.user;
    const bool own_mode = wanted.include_own || wanted.since.from_epoch;
    return own && !row.row.told && !(own_mode && (!wanted.own_until || row.at <= *wanted.own_until));
}

bool rules_server::is_left_out(const logged_row& row, const page_request& wanted) const {
    if (!wanted.table.empty() && row.row.heading.table != wanted.table) return true;
    if (!is_own(row, wanted)) return false;
    const auto held = state_of(row);
    return !held || !held->marked;
}

std::vector<const rules_server::logged_row*> rules_server::rows_of(const page_request& wanted,
                                                                   bool& more) const {
    const auto scopes = scopes_of(wanted.who.user);
    std::vector<const logged_row*> found;
    const auto first =
        std::ranges::upper_bound(log_, std::min(wanted.since.at, newest_), {}, &logged_row::at);
    for (auto row = first; row != log_.end(); ++row) {
        if (wanted.until && row->at > *wanted.until) break;
        if (std::ranges::find(scopes, row->row.scope) == scopes.end()) continue;
        if (is_left_out(*row, wanted)) continue;
        more = found.size() == static_cast<std::size_t>(wanted.rows);
        if (more) break;
        found.push_back(&*row);
    }
    return found;
}

bool rules_server::is_held_for(const logged_row& row, const caller& who) const {
    return find_hold(row.row.held, who.user, who.client) != nullptr;
}

answer rules_server::read(const page_request& wanted, said_once& said) const {
    answer page;
    const auto found = rows_of(wanted, page.has_more);
    held_rows back{wanted.since, !wanted.table.empty(), page.has_more};
    std::vector<page_row> names;
    for (const auto* row : found)
        names.push_back({row->row.heading.table, row->row.heading.record_id, to_text(row->row.op),
                         row->row.data, is_own(*row, wanted) && !state_of(*row)->dropped,
                         wanted.by_slow_clock ? fields_of(*state_of(*row), wanted.who.user, wanted.who.client)
                                              : name_set{},
                         back.was_shown(row->at, is_held_for(*row, wanted.who), row->row.heading.table,
                                        row->row.heading.record_id)});
    const auto but = said.sift(names);
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto& row = *found[i];
        const auto held = state_of(row);
        logged_change logged{"e" + std::to_string(row.at.time_since_epoch().count()), row.row.heading,
                             row.row.op, row.data, shown_fields(row.data, row.field_meta, row.at)};
        if (is_held_for(row, wanted.who)) {
            const auto& hold = *find_hold(row.row.held, wanted.who.user, wanted.who.client);
            show_to_inserter(logged.fields, hold, *held, back.settles(row.at, hold, now_));
        }
        if (but[i].all() && (said.of_push() || names[i].only_objects || names[i].was_shown)) continue;
        std::ranges::transform(changes_of(std::move(logged), held ? &*held : nullptr, but[i]),
                               std::back_inserter(page.server_changes), sync::shown);
    }
    const bool own_mode = wanted.include_own || wanted.since.from_epoch;
    page.synced_until =
        page.has_more ? cursor{.at = found.back()->at, .from_epoch = own_mode} : back.end_of_page(newest_);
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
