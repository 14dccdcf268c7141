#include "tests/checker/shrunk_story.hpp"

#include "tests/checker/selection.hpp"
#include "tests/checker/shrink.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <stdexcept>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

using lines = std::vector<std::string>;

/// Timing decides whether a plan fails: one that does not is played again, so often in all.
constexpr int tries = 3;
/// Of the records with faults, the ones with the fewest changes are tried by themselves.
constexpr std::size_t most_single_records = 3;

class search {
  public:
    search(const plan& whole, const outcome& failed, const server_parts& server, std::chrono::seconds longest)
        : whole_(whole), server_(server), until_(steady_clock::now() + longest),
          first_plans_(made_of(failed)) {}

    /// Whether a part of the plan fails when it is carried out like that; then it is shrunk.
    bool finds_by(const manner& how) {
        how_ = how;
        for (const auto& candidate : first_plans_) {
            if (!fails(candidate)) continue;
            smallest_ = shrink(
                candidate, [this](const plan& smaller) { return fails(smaller); }, [this] { return late(); });
            return true;
        }
        return false;
    }

    [[nodiscard]] const plan& smallest() const { return smallest_; }
    [[nodiscard]] const outcome& last_failed() const { return last_failed_; }
    [[nodiscard]] const manner& how() const { return how_; }
    [[nodiscard]] int runs() const { return runs_; }
    [[nodiscard]] bool late() const { return steady_clock::now() > until_; }

  private:
    const plan& whole_;
    const server_parts& server_;
    const steady_clock::time_point until_;
    const std::vector<plan> first_plans_;
    manner how_;
    plan smallest_;
    outcome last_failed_;
    int runs_ = 0;

    [[nodiscard]] std::vector<plan> made_of(const outcome& failed) const {
        if (failed.faulty.empty()) return {whole_};
        std::vector<plan> plans;
        for (const auto& record : failed.faulty) plans.push_back(touching(whole_, {record}, true));
        std::ranges::stable_sort(plans, {}, &plan::changes);
        if (plans.size() > most_single_records) plans.resize(most_single_records);
        plans.push_back(touching(whole_, {failed.faulty.front()}, false));
        plans.push_back(touching(whole_, {failed.faulty.begin(), failed.faulty.end()}, false));
        return plans;
    }

    bool fails(const plan& candidate) {
        for (int i = 0; i < tries && !late(); ++i)
            if (fails_now(candidate)) return true;
        return false;
    }

    bool fails_now(const plan& candidate) {
        ++runs_;
        try {
            auto found = play(candidate, how_, server_);
            if (found.faults == 0) return false;
            last_failed_ = std::move(found);
            return true;
        } catch (const std::runtime_error&) { // of another kind than what is looked for
            return false;
        }
    }
};

std::string in_words(milliseconds off) {
    const auto count = off.count();
    const std::string sign = count > 0 ? "+" : "";
    if (off % 1h == 0ms) return sign + std::to_string(count / 3'600'000) + " h";
    if (off % 1s == 0ms) return sign + std::to_string(count / 1'000) + " s";
    return sign + std::to_string(count) + " ms";
}

const char* in_words(time_form form) {
    switch (form) {
    case time_form::with_offset:
        return ", times with an offset";
    case time_form::nine_digits:
        return ", times of nine digits";
    case time_form::no_fraction:
        return ", times without a fraction";
    case time_form::browser:
        break;
    }
    return "";
}

std::string in_words(const step& given, bool program) {
    std::string text = to_text(given.what);
    text.resize(std::max<std::size_t>(text.size(), 16), ' ');
    const bool deletes = given.what == act::hard_delete || given.what == act::program_delete;
    if (makes_a_change(given.what)) text += ' ' + given.record;
    if (makes_a_change(given.what) && !deletes && given.what != act::undelete)
        text += "  " + given.fields + (given.dotted.empty() ? "" : ",  " + given.dotted);
    std::string more;
    if (given.insert) more += ", an insert";
    if (given.timed == insert_time::in_2019) more += ", an insert dated 2019";
    if (given.timed == insert_time::by_clock) more += ", an insert dated";
    if (given.whole_second) more += ", at the next whole second";
    if (program) more += in_words(given.form);
    if (given.skew != 0ms) more += ", clock off by " + in_words(given.skew);
    return more.empty() ? text : text + "   (" + more.substr(2) + ')';
}

void tell_plan(const plan& made, lines& to) {
    for (const auto& one : made.schedules) {
        to.push_back("  " + one.client + (one.steps.empty() ? "   only syncs at the end" : ""));
        for (const auto& next : one.steps) {
            auto number = std::to_string(next.number);
            number.insert(0, number.size() < 6 ? 6 - number.size() : 0, ' ');
            to.push_back(number + "  " + in_words(next, one.program));
        }
    }
    for (const auto& one : made.memberships)
        to.push_back("  u" + std::to_string(one.user) + (one.member ? " joins s" : " leaves s") +
                     std::to_string(one.space) +
                     (one.after_changes == 0 ? " before all this"
                                             : " after " + std::to_string(one.after_changes) + " changes"));
}

std::string names_of(const std::vector<fault>& kinds) {
    std::string names;
    for (const auto kind : kinds) names += (names.empty() ? "" : ",") + std::string(to_text(kind));
    return names;
}

std::string in_words(const manner& how) {
    return (how.threads == 1 ? "one device after the other"
                             : "with " + std::to_string(how.threads) + " threads") +
           (how.faults.empty() ? ", without faults" : ", with faults");
}

std::string command_of(const plan& made, const manner& how) {
    const auto& size = made.size;
    return "--seed " + std::to_string(size.seed) + " --changes " + std::to_string(size.changes) +
           " --users " + std::to_string(size.users) + " --devices " + std::to_string(size.devices) +
           " --spaces " + std::to_string(size.spaces) + " --threads " + std::to_string(how.threads) +
           (how.faults.empty() ? "" : " --faults " + names_of(how.faults)) + " --keep '" +
           selection_of(made) + '\'';
}

} // namespace

lines tell_smallest(const plan& whole, const outcome& failed, const manner& how, const server_parts& server,
                    std::chrono::seconds longest) {
    search of_smaller{whole, failed, server, longest};
    const bool found = of_smaller.finds_by({1, {}}) || of_smaller.finds_by({how.threads, {}}) ||
                       (!how.faults.empty() && of_smaller.finds_by(how));
    if (!found)
        return {"shrunk     it did not fail again in " + std::to_string(of_smaller.runs()) +
                " runs of smaller plans; the story above is the full one"};
    const auto& small = of_smaller.smallest();
    lines told{"shrunk     to " + std::to_string(small.changes) + " changes of " +
               std::to_string(whole.changes) + " in " + std::to_string(of_smaller.runs()) + " runs" +
               (of_smaller.late() ? ", until the time was up" : "") + "; it fails " +
               in_words(of_smaller.how()) + ':'};
    tell_plan(small, told);
    std::ranges::copy(of_smaller.last_failed().first_fault, std::back_inserter(told));
    told.push_back("again      " + command_of(small, of_smaller.how()));
    return told;
}

} // namespace mana::checker
