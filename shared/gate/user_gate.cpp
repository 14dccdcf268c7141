#include "shared/gate/user_gate.hpp"

#include "shared/sync/record.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace mana::gate {
namespace {

namespace json = boost::json;
using names = std::vector<std::string>;

using outcome = user_answer::outcome;

constexpr std::size_t longest_space = 255;
constexpr std::string_view unreadable = "an answer that cannot be read";

json::value parse(std::string_view text) {
    boost::system::error_code failure;
    return json::parse(json::string_view{text.data(), text.size()}, failure);
}

const json::value* member_of(const json::value& document, std::string_view name) {
    const json::object* const object = document.if_object();
    return object == nullptr ? nullptr : object->if_contains(name);
}

std::optional<bool> read_active(std::string_view body) {
    const json::value document = parse(body);
    const json::value* const active = member_of(document, "active");
    if (active == nullptr || !active->is_bool()) return std::nullopt;
    return active->get_bool();
}

bool is_space(std::string_view id) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    return sync::is_shared_space(id) && id.size() <= longest_space && std::ranges::none_of(id, is_control);
}

std::optional<names> read_memberships(std::string_view body) {
    const json::value document = parse(body);
    const json::value* const memberships = member_of(document, "memberships");
    if (memberships == nullptr || !memberships->is_array()) return std::nullopt;
    names spaces;
    for (const json::value& membership : memberships->get_array()) {
        const json::value* const id = member_of(membership, "organizationId");
        if (id == nullptr || !id->is_string()) continue;
        const std::string_view text{id->get_string().data(), id->get_string().size()};
        if (is_space(text)) spaces.emplace_back(text);
    }
    std::ranges::sort(spaces);
    spaces.erase(std::unique(spaces.begin(), spaces.end()), spaces.end());
    return spaces;
}

/// A user whom billing does not know has nothing to be refused for.
std::optional<bool> active_in(const user_answer& answer) {
    if (answer.what == outcome::unknown) return true;
    return answer.what == outcome::said ? read_active(answer.body) : std::nullopt;
}

std::optional<names> spaces_in(const user_answer& answer) {
    if (answer.what == outcome::unknown) return names{};
    return answer.what == outcome::said ? read_memberships(answer.body) : std::nullopt;
}

/// Of what lies ahead nobody knows how long ago it was said: PostgreSQL's clock was set back since.
bool is_fresh(std::chrono::milliseconds age, std::chrono::milliseconds kept) {
    return age >= age.zero() && age < kept;
}

} // namespace

user_gate::user_gate(user_gate_settings settings)
    : settings_{std::move(settings)}, billing_{"billing", settings_.credits_url, settings_.service_key} {
    if (!settings_.auth_url.empty())
        memberships_.emplace("memberships", settings_.auth_url, settings_.service_key);
}

bool user_gate::may_sync(const std::string& user, store::database& tables, store::deadline until) {
    known& entry = entry_of(user);
    if (!entry.active || clock::now() >= entry.active_until) {
        entry.active.reset();
        read_standing(user, entry, tables, until);
    }
    if (entry.active) {
        ++counts_.billing.hits;
        return *entry.active;
    }
    return ask_billing(user, entry, tables, until);
}

std::optional<names> user_gate::spaces_of(const std::string& user, store::database& tables,
                                          store::deadline until) {
    known& entry = entry_of(user);
    if (entry.spaces && clock::now() < entry.spaces_until) {
        ++counts_.memberships.hits;
        return entry.spaces;
    }
    entry.spaces.reset();
    const auto last = read_standing(user, entry, tables, until);
    if (entry.spaces) {
        ++counts_.memberships.hits;
        return entry.spaces;
    }
    if (auto found = look_up_spaces(user, tables, until)) return found;
    if (!last.spaces || last.spaces->age > settings_.spaces_stale) return std::nullopt;
    entry.spaces = last.spaces->said;
    entry.spaces_until = clock::now() + user_service::pause;
    return entry.spaces;
}

std::optional<names> user_gate::look_up_spaces(const std::string& user, store::database& tables,
                                               store::deadline until) {
    known& entry = entry_of(user);
    auto found = ask_memberships(user, entry, tables, until);
    if (!found) return std::nullopt;
    if (found->size() > settings_.spaces_at_most) found->resize(settings_.spaces_at_most);
    entry.spaces = found;
    entry.spaces_until = clock::now() + settings_.kept;
    tables.run(until, [&](store::connection& on) { store::keep_spaces(on, user, *found, until); });
    return found;
}

user_gate::known& user_gate::entry_of(const std::string& user) {
    if (const auto found = users_.find(user); found != users_.end()) return found->second;
    if (users_.size() >= clean_up_at_) forget_outdated();
    if (users_.size() >= users_at_most) users_.clear();
    return users_[user];
}

std::chrono::milliseconds user_gate::kept_for(bool active) const {
    return active ? settings_.kept : std::min<std::chrono::milliseconds>(settings_.kept, inactive_kept);
}

/// Whoever was not seen for long takes up no memory. Each time half of the entries are new at least.
void user_gate::forget_outdated() {
    const auto now = clock::now();
    std::erase_if(users_, [now](const auto& each) {
        return each.second.active_until <= now && each.second.spaces_until <= now;
    });
    clean_up_at_ = std::max(first_clean_up, 2 * users_.size());
}

/// What another process was told a short while ago is as good as if it had been told here.
store::user_standing user_gate::read_standing(const std::string& user, known& entry, store::database& tables,
                                              store::deadline until) {
    auto last =
        tables.run(until, [&](store::connection& on) { return store::read_standing(on, user, until); });
    const auto now = clock::now();
    if (const auto& heard = last.sync_active; heard && is_fresh(heard->age, kept_for(heard->said))) {
        entry.active = heard->said;
        entry.active_until = now + (kept_for(heard->said) - heard->age);
    }
    if (last.spaces && is_fresh(last.spaces->age, settings_.kept)) {
        entry.spaces = last.spaces->said;
        entry.spaces_until = now + (settings_.kept - last.spaces->age);
    }
    return last;
}

/// What is no answer lets the user in, and is not asked for again at once; no other process hears of it.
bool user_gate::ask_billing(const std::string& user, known& entry, store::database& tables,
                            store::deadline until) {
    const auto now = clock::now();
    const auto answer = billing_.ask("/api/v1/internal/sync/status/" + path_segment(user), now);
    const auto active = active_in(answer);
    ++(active ? counts_.billing.asked : counts_.billing.failed);
    if (!active && answer.what == outcome::away) return true;
    if (!active && answer.what == outcome::said) billing_.unusable(unreadable, now);
    entry.active = active.value_or(true);
    entry.active_until = clock::now() + (active ? kept_for(*active) : user_service::pause);
    if (active)
        tables.run(until, [&](store::connection& on) { store::keep_sync_active(on, user, *active, until); });
    return *entry.active;
}

std::optional<names> user_gate::ask_memberships(const std::string& user, known& entry,
                                                store::database& tables, store::deadline until) {
    const auto now = clock::now();
    if (now < entry.spaces_asked_from) return std::nullopt;
    const auto answer =
        memberships_->ask("/api/v1/internal/users/" + path_segment(user) + "/memberships", now);
    auto spaces = spaces_in(answer);
    // A service that has lost its way to its users knows nobody: that takes no spaces away.
    const bool lost = answer.what == outcome::unknown && was_in_spaces(user, tables, until);
    if (lost) spaces.reset();
    ++(spaces ? counts_.memberships.asked : counts_.memberships.failed);
    if (spaces || answer.what == outcome::away) return spaces;
    if (answer.what == outcome::said) memberships_->unusable(unreadable, now);
    if (lost) memberships_->unusable("it knows no such user, who was in spaces", now);
    entry.spaces_asked_from = now + user_service::pause;
    return std::nullopt;
}

bool user_gate::was_in_spaces(const std::string& user, store::database& tables, store::deadline until) {
    const auto last =
        tables.run(until, [&](store::connection& on) { return store::read_standing(on, user, until); });
    return last.spaces && !last.spaces->said.empty();
}

} // namespace mana::gate
