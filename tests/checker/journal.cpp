#include "tests/checker/journal.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace mana::checker {

using namespace std::chrono_literals;
using sync::find_member;
using sync::instant;
using sync::json_object;
using sync::json_value;

namespace {

/// MAX_CLOCK_SKEW of the server.
constexpr auto most_ahead = 24h;
/// A request that was given up may be worked on for so long, queues included.
constexpr auto still_under_way = 30s;

std::string text_in(const json_object& object, std::string_view key) {
    const auto* value = find_member(object, key);
    if (value == nullptr || value->as_string() == nullptr)
        throw std::runtime_error("a change lacks " + std::string(key));
    return *value->as_string();
}

std::string time_of_day(instant at) {
    return sync::to_text(at).substr(11, 12);
}

std::set<std::size_t> rejected_in(const json_value& answer) {
    std::set<std::size_t> indexes;
    const auto* rejected =
        answer.as_object() != nullptr ? find_member(*answer.as_object(), "rejected") : nullptr;
    if (rejected == nullptr || rejected->as_array() == nullptr) return indexes;
    for (const auto& one : *rejected->as_array()) {
        const auto* index = find_member(*one.as_object(), "index");
        indexes.insert(std::stoul(index->as_number()->text));
    }
    return indexes;
}

} // namespace

instant now() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

std::optional<instant> journal::sent_change::last_acknowledged() const {
    std::optional<instant> last;
    for (const auto& one : sendings)
        if (one.became == fate::done) last = std::max(last.value_or(one.began), one.began);
    return last;
}

std::optional<instant> journal::sent_change::settled() const {
    std::optional<instant> last;
    for (const auto& one : sendings)
        if (one.became == fate::done) last = std::max(last.value_or(one.ended), one.ended);
    return last;
}

journal::request journal::begin(const json_value& body) {
    const auto* changes = find_member(*body.as_object(), "changes");
    const std::lock_guard guard{lock_};
    request_entry entry;
    for (const auto& change : *changes->as_array()) {
        const auto& object = *change.as_object();
        const auto origin = text_in(object, "origin");
        const auto [place, is_new] = changes_.try_emplace(origin);
        auto& sent = place->second;
        if (is_new) {
            sent = {
                origin, text_in(object, "id"), sync::to_json_text(change), checker::claims_of(object), {}};
            of_record_[sent.record].push_back(&sent);
        }
        entry.changes.push_back(&sent);
        entry.sendings.push_back(sent.sendings.size());
        sent.sendings.push_back({now(), {}, fate::under_way});
    }
    requests_.push_back(std::move(entry));
    return requests_.size() - 1;
}

void journal::end(request which, fate became, instant ended) {
    const auto& entry = requests_[which];
    for (std::size_t i = 0; i < entry.changes.size(); ++i) {
        auto& one = entry.changes[i]->sendings[entry.sendings[i]];
        one.became = became;
        one.ended = ended;
    }
}

void journal::answered(request which, const json_value& answer) {
    const auto ended = now() + 1ms; // the server's times are cut to milliseconds, as ours are
    const auto rejected = rejected_in(answer);
    const std::lock_guard guard{lock_};
    end(which, fate::done, ended);
    const auto& entry = requests_[which];
    for (const auto index : rejected)
        entry.changes.at(index)->sendings[entry.sendings[index]].became = fate::rejected;
}

void journal::refused(request which) {
    const std::lock_guard guard{lock_};
    end(which, fate::refused, now());
}

void journal::unanswered(request which) {
    const std::lock_guard guard{lock_};
    end(which, fate::unknown, now() + still_under_way);
}

void journal::note(const std::string& client, const std::string& what) {
    const std::lock_guard guard{lock_};
    notes_.push_back({now(), client + ' ' + what});
}

/// Between the least and the most that it would count as by any of the requests that may have been done.
span journal::bounds(const sent_change& change, instant claimed) const {
    std::optional<span> receipt;
    for (const auto& one : change.sendings) {
        if (one.became == fate::rejected || one.became == fate::refused) continue;
        const auto shown = clock_.during(one.began, one.ended);
        if (!receipt) receipt = shown;
        *receipt = {std::min(receipt->lo, shown.lo), std::max(receipt->hi, shown.hi)};
    }
    if (!receipt) return {claimed, claimed};
    return {std::min(claimed, receipt->lo + most_ahead), std::min(claimed, receipt->hi + most_ahead)};
}

void journal::add_claims(const sent_change& change, record_claims& to) const {
    const bool may_count = std::ranges::any_of(change.sendings, [](const sending& one) {
        return one.became != fate::rejected && one.became != fate::refused;
    });
    if (!may_count) return;
    if (change.claimed.hard_delete) {
        for (const auto& one : change.sendings)
            if (one.became == fate::done || one.became == fate::unknown)
                to.deletes.push_back({clock_.during(one.began, one.ended), one.ended,
                                      one.became == fate::done, change.origin});
        return;
    }
    for (const auto& write : change.claimed.writes)
        to.writes.push_back({write.field, write.value, bounds(change, write.at), write.at,
                             change.last_acknowledged(), change.origin, change.sendings.front().began,
                             change.settled()});
}

record_claims journal::claims_of(const std::string& record) const {
    const std::lock_guard guard{lock_};
    record_claims found;
    const auto place = of_record_.find(record);
    if (place == of_record_.end()) return found;
    for (const auto* change : place->second) add_claims(*change, found);
    return found;
}

std::string journal::told(const sent_change& change) {
    std::string text;
    for (const auto& one : change.sendings) {
        text += text.empty() ? "sent " : ", again ";
        text += time_of_day(one.began);
        switch (one.became) {
        case fate::done:
            text += " (done by " + time_of_day(one.ended) + ')';
            break;
        case fate::rejected:
            text += " (rejected)";
            break;
        case fate::refused:
            text += " (refused)";
            break;
        case fate::unknown:
        case fate::under_way:
            text += " (no answer)";
            break;
        }
    }
    return text + ": " + change.text;
}

std::vector<std::string> journal::history_of(const std::string& record) const {
    const std::lock_guard guard{lock_};
    std::vector<event> events;
    const auto place = of_record_.find(record);
    if (place == of_record_.end()) return {};
    std::set<std::string> clients;
    for (const auto* change : place->second) {
        events.push_back({change->sendings.front().began, change->origin + ' ' + told(*change)});
        clients.insert(change->origin.substr(0, change->origin.find('/')));
    }
    for (const auto& one : notes_)
        if (clients.contains(one.text.substr(0, one.text.find(' ')))) events.push_back(one);
    std::ranges::stable_sort(events, {}, &event::at);
    std::vector<std::string> lines;
    lines.reserve(events.size());
    for (const auto& one : events) lines.push_back(time_of_day(one.at) + ' ' + one.text);
    return lines;
}

journal::counts journal::count() const {
    const std::lock_guard guard{lock_};
    counts found;
    for (const auto& [origin, change] : changes_) {
        ++found.changes;
        found.sendings += change.sendings.size();
        found.claims += change.claimed.writes.size();
        if (change.last_acknowledged()) ++found.acknowledged;
        found.rejected +=
            static_cast<std::size_t>(std::ranges::count(change.sendings, fate::rejected, &sending::became));
    }
    return found;
}

std::vector<std::string> journal::acknowledged_deletes() const {
    const std::lock_guard guard{lock_};
    std::vector<std::string> found;
    for (const auto& [origin, change] : changes_)
        if (change.claimed.hard_delete && change.last_acknowledged()) found.push_back(origin);
    return found;
}

bool journal::knows(std::string_view origin) const {
    const std::lock_guard guard{lock_};
    return changes_.contains(origin);
}

std::optional<journal::doing> journal::first_done(std::string_view origin) const {
    const std::lock_guard guard{lock_};
    const auto change = changes_.find(origin);
    if (change == changes_.end()) return std::nullopt;
    std::optional<doing> found;
    for (const auto& one : change->second.sendings) {
        if (one.became == fate::rejected || one.became == fate::refused) continue;
        const bool answered = one.became == fate::done;
        if (!found) found = {one.began, one.ended, answered};
        found->begun = std::min(found->begun, one.began);
        if (answered)
            found->by = found->answered ? std::min(found->by, one.ended) : one.ended;
        else if (!found->answered)
            found->by = std::max(found->by, one.ended);
        found->answered = found->answered || answered;
    }
    return found;
}

/// It may win anew where a delete came between, or where its claim lies so far ahead that it counts as a
/// later one each time.
std::size_t journal::most_rows(std::string_view origin) const {
    const std::lock_guard guard{lock_};
    const auto& change = changes_.find(origin)->second;
    const auto& of_record = of_record_.find(change.record)->second;
    const bool deleted =
        std::ranges::any_of(of_record, [](const sent_change* other) { return other->claimed.hard_delete; });
    const bool ahead = std::ranges::any_of(change.claimed.writes, [&](const claimed_write& write) {
        return std::ranges::any_of(change.sendings, [&](const sending& one) {
            return write.at >= clock_.during(one.began, one.ended).lo + most_ahead;
        });
    });
    return deleted || ahead ? change.sendings.size() : 1;
}

} // namespace mana::checker
