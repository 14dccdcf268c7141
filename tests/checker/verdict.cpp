#include "tests/checker/verdict.hpp"

#include <algorithm>
#include <thread>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using sync::to_json_text;

namespace {

constexpr auto followers_have = 5s;
constexpr std::size_t most_faults_told = 12;

} // namespace

verdict::verdict(run& of, const outside& services, const journal& book, database* kept,
                 const std::string& app)
    : run_(of), services_(services), book_(book), kept_(kept), app_(app) {
    const auto& size = run_.planned().size;
    for (int space = 0; space < size.spaces; ++space)
        for (const auto& record : records_of_space(size, space)) space_of_[record] = run_.space_name(space);
}

verdict::record_names verdict::shown_to(int user) const {
    auto names = records_of_user(run_.planned().size, user);
    for (const auto& [record, space] : space_of_)
        if (services_.is_member(run_.user_name(user), space)) names.push_back(record);
    return names;
}

verdict::record_names verdict::hidden_from(int user) const {
    record_names names;
    for (const auto& [record, space] : space_of_)
        if (!services_.is_member(run_.user_name(user), space)) names.push_back(record);
    return names;
}

std::string verdict::scope_of(int user, const std::string& record) const {
    const auto space = space_of_.find(record);
    return space != space_of_.end() ? "s:" + space->second : "u:" + run_.user_name(user);
}

void verdict::judge() {
    const auto settled = steady_clock::now();
    if (kept_ != nullptr) {
        states_ = kept_->states(app_);
        log_ = kept_->log(app_);
    }
    std::vector<run::guest> fresh;
    for (int user = 0; user < run_.planned().size.users; ++user) {
        fresh.push_back(run_.make_guest(user, "u" + std::to_string(user) + "fresh"));
        fresh.back().store->pull();
    }
    for (int user = 0; user < run_.planned().size.users; ++user)
        await_follower(user, *fresh[static_cast<std::size_t>(user)].store, settled);
    for (int user = 0; user < run_.planned().size.users; ++user)
        judge_user(user, *fresh[static_cast<std::size_t>(user)].store);
    if (kept_ != nullptr) judge_log();
}

/// What it does not hold by then, the comparison tells.
void verdict::await_follower(int user, const history::device& fresh, steady_clock::time_point settled) {
    const auto& follows = run_.follower_of(user);
    const auto names = shown_to(user);
    const auto holds_all = [&] {
        return std::ranges::all_of(names, [&](const std::string& record) {
            return same(follows.record(record), fresh.record(record));
        });
    };
    while (!holds_all() && steady_clock::now() < settled + followers_have) std::this_thread::sleep_for(5ms);
    const auto lag = std::chrono::duration_cast<std::chrono::milliseconds>(follows.last_told() - settled);
    followers_after_ = std::max(followers_after_, lag);
    if (lag > followers_have)
        fault({}, follows.who().client + " was told " + std::to_string(lag.count()) + " ms late");
    if (const auto failed = follows.failure(); !failed.empty())
        fault({}, follows.who().client + " failed: " + failed);
}

void verdict::judge_user(int user, const history::device& fresh) {
    for (const auto& record : shown_to(user)) judge_record(user, record, fresh);
    for (const auto& record : hidden_from(user)) {
        ++comparisons_;
        if (fresh.holds(record))
            fault(record, fresh.who().client + " is shown it, though its user is no member");
    }
}

void verdict::judge_record(int user, const std::string& record, const history::device& fresh) {
    const auto expected = fresh.record(record);
    std::vector<holder> holders{{fresh.who().client, expected}};
    for (const auto* device : run_.devices_of(user))
        holders.push_back({device->who().client, device->record(record)});
    holders.push_back({run_.follower_of(user).who().client, run_.follower_of(user).record(record)});
    const auto faults_before = faults_;
    if (kept_ != nullptr) judge_state(record, scope_of(user, record), holders);
    for (const auto& one : holders) {
        ++comparisons_;
        if (!same(one.record, expected))
            fault(record, one.who + " holds " + to_json_text(one.record) + ", a fresh device " +
                              to_json_text(expected));
    }
    judge_claims(record, expected);
    if (faults_ != faults_before) tell_story(record, holders);
}

void verdict::judge_state(const std::string& record, const std::string& scope, std::vector<holder>& holders) {
    sync::json_value kept;
    const auto [first, last] = states_.equal_range(record);
    for (auto found = first; found != last; ++found) {
        if (found->second.scope == scope)
            kept = found->second.record;
        else
            fault(record, "it lives in " + found->second.scope + " too, not only in " + scope);
    }
    holders.push_back({"the server", kept});
}

void verdict::judge_claims(const std::string& record, const sync::json_value& held) {
    ++comparisons_;
    for (const auto& objection : objections(book_.claims_of(record), held)) fault(record, objection);
}

/// Each row is of a change that was sent; a retry added none; each hard delete that was acknowledged has one.
void verdict::judge_log() {
    std::map<std::string, std::size_t> rows;
    for (const auto& row : log_) {
        ++comparisons_;
        if (!book_.knows(row.origin))
            fault(row.record, "the log has a row that nobody sent: " + row.text);
        else
            ++rows[row.origin];
    }
    for (const auto& row : log_)
        if (rows[row.origin] > book_.most_rows(row.origin)) {
            fault(row.record, "the log has " + std::to_string(rows[row.origin]) + " rows of " + row.origin);
            tell_story(row.record, {});
        }
    for (const auto& sent : book_.acknowledged_deletes())
        if (!rows.contains(sent)) fault({}, "the log lacks the acknowledged delete " + sent);
}

void verdict::fault(const std::string& record, const std::string& what) {
    if (++faults_ <= most_faults_told) lines_.push_back("record " + record + ": " + what);
}

void verdict::tell_story(const std::string& record, const std::vector<holder>& holders) {
    if (story_told_) return;
    story_told_ = true;
    lines_.push_back("the story of " + record + ':');
    for (const auto& one : holders) lines_.push_back("  " + one.who + " holds " + to_json_text(one.record));
    const auto [first, last] = states_.equal_range(record);
    for (auto found = first; found != last; ++found) lines_.push_back("  kept: " + found->second.text);
    lines_.emplace_back("what was sent, and what devices did:");
    for (const auto& line : book_.history_of(record)) lines_.push_back("  " + line);
    lines_.emplace_back("its rows of the log, in the order of their positions:");
    for (const auto& row : log_)
        if (row.record == record) lines_.push_back("  " + row.text);
}

} // namespace mana::checker
