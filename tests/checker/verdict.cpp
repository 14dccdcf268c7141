#include "tests/checker/verdict.hpp"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using sync::to_json_text;

namespace {

constexpr auto followers_have = 5s;
constexpr auto between_looks = 200ms;
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

bool verdict::keeps_its_own(int user, const std::string& record) const {
    if (!space_of_.contains(record)) return false;
    const auto [first, last] = states_.equal_range(record);
    return std::any_of(first, last,
                       [&](const auto& state) { return state.second.scope == "u:" + run_.user_name(user); });
}

bool verdict::anyone_keeps_its_own(const std::string& record) const {
    const auto users = users_of(run_.planned());
    return std::ranges::any_of(users, [&](int user) { return keeps_its_own(user, record); });
}

void verdict::judge() {
    const auto settled = steady_clock::now();
    if (kept_ != nullptr) {
        states_ = kept_->states(app_);
        log_ = kept_->log(app_);
    }
    std::map<int, run::guest> fresh;
    for (const int user : users_of(run_.planned())) {
        fresh[user] = run_.make_guest(user, "u" + std::to_string(user) + "fresh");
        fresh[user].store->pull();
    }
    for (const auto& [user, guest] : fresh) await_follower(user, *guest.store, settled);
    for (const auto& [user, guest] : fresh) judge_user(user, *guest.store);
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
    for (const auto& record : shown_to(user))
        if (!keeps_its_own(user, record)) judge_record(user, record, fresh);
    for (const auto& record : hidden_from(user)) {
        if (keeps_its_own(user, record)) continue;
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
    if (faults_ == faults_before) return;
    tell_story(record, holders);
    if (!same(run_.follower_of(user).record(record), expected)) tell_of_follower(user, record);
}

void verdict::tell_of_follower(int user, const std::string& record) {
    if (std::exchange(follower_told_, true)) return;
    const auto& follows = run_.follower_of(user);
    lines_.push_back("what " + follows.who().client + " was told of " + record + ':');
    for (const auto& line : follows.history_of(record)) lines_.push_back("  " + line);
}

void verdict::judge_state(const std::string& record, const std::string& scope, std::vector<holder>& holders) {
    sync::json_value kept;
    const auto [first, last] = states_.equal_range(record);
    for (auto found = first; found != last; ++found) {
        if (found->second.scope == scope)
            kept = found->second.record;
        else if (!scope.starts_with("s:") || !found->second.scope.starts_with("u:"))
            fault(record, "it lives in " + found->second.scope + " too, not only in " + scope);
    }
    holders.push_back({"the server", kept});
}

void verdict::judge_claims(const std::string& record, const sync::json_value& held) {
    if (anyone_keeps_its_own(record)) return; // which of the user's claims went where is not known
    ++comparisons_;
    for (const auto& objection : objections(book_.claims_of(record), held)) fault(record, objection);
}

/// Each row is of a change that was sent; a retry added none; each hard delete that was acknowledged has one.
void verdict::judge_log() {
    // What is sent again by who is no member any more has a row in the space and one that is its author's
    // own.
    std::map<std::pair<std::string, std::string>, std::size_t> rows;
    std::set<std::string> stored;
    for (const auto& row : log_) {
        ++comparisons_;
        stored.insert(row.origin);
        if (!book_.knows(row.origin))
            fault(row.record, "the log has a row that nobody sent: " + row.text);
        else
            ++rows[{row.origin, row.scope}];
    }
    for (const auto& row : log_)
        if (const auto count = rows[{row.origin, row.scope}]; count > book_.most_rows(row.origin)) {
            fault(row.record, "the log has " + std::to_string(count) + " rows of " + row.origin);
            tell_story(row.record, {});
        }
    for (const auto& sent : book_.acknowledged_deletes())
        if (!stored.contains(sent)) fault({}, "the log lacks the acknowledged delete " + sent);
}

/// Without a look into the log, only of a new record that was acknowledged is it certain that it has a row.
std::vector<stored_row> verdict::stored_rows() const {
    std::vector<stored_row> rows;
    for (const auto& row : log_) rows.push_back({row.origin, row.scope});
    if (kept_ != nullptr) return rows;
    for (const auto& row : run_.naming_changes()) {
        const auto done = book_.first_done(row.origin);
        if (done && done->answered) rows.push_back(row);
    }
    return rows;
}

void verdict::judge_told(const std::vector<outage>& outages) {
    auto stored = commits_in(stored_rows(), book_);
    happened_ = {std::move(stored.commits), run_.listening().heard(), run_.memberships(), outages};
    told_ = checker::judge(happened_, now());
    while (told_.final_at > now()) {
        std::this_thread::sleep_for(between_looks);
        happened_.devices = run_.listening().heard();
        told_ = checker::judge(happened_, now());
    }
    told_.left_out += stored.left_out;
    faults_ += told_.faults;
    lines_.insert(lines_.end(), told_.stories.begin(), told_.stories.end());
}

void verdict::fault(const std::string& record, const std::string& what) {
    if (!record.empty() && std::ranges::find(faulty_, record) == faulty_.end()) faulty_.push_back(record);
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
