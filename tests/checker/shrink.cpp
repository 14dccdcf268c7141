#include "tests/checker/shrink.hpp"

#include "shared/sync/json.hpp"
#include "tests/checker/selection.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace mana::checker {

namespace {

using steps = std::vector<step>;

bool sends(act what) {
    return what == act::push || what == act::push_and_lose_the_answer || what == act::push_twice ||
           what == act::sync;
}

/// `run`: exchanges between two changes.
void append_few(steps run, steps& to) {
    const auto first_sending = std::ranges::find_if(run, [](const step& one) { return sends(one.what); });
    for (auto one = run.begin(); one != run.end(); ++one)
        if (one == first_sending || one->what == act::wipe || one + 1 == run.end())
            to.push_back(std::move(*one));
}

steps with_few_exchanges(steps all) {
    steps kept;
    steps run;
    for (auto& one : all) {
        if (!makes_a_change(one.what)) {
            run.push_back(std::move(one));
            continue;
        }
        append_few(std::move(run), kept);
        run.clear();
        kept.push_back(std::move(one));
    }
    append_few(std::move(run), kept);
    return kept;
}

/// The JSON members of a step's fields, each by itself.
std::vector<std::string> each_of(const std::string& fields) {
    const auto object = sync::parse_stored_json('{' + fields + '}');
    std::vector<std::string> found;
    for (const auto& member : *object.as_object()) {
        const auto alone = sync::to_json_text(sync::json_value{sync::json_object{member}});
        found.push_back(alone.substr(1, alone.size() - 2));
    }
    return found;
}

/// Simpler forms of a step, each one a little; none where it is as simple as it can be.
std::vector<step> simpler(const step& given) {
    std::vector<step> forms;
    const auto with = [&](auto&& simplify) {
        auto form = given;
        simplify(form);
        forms.push_back(std::move(form));
    };
    if (sends(given.what) && given.what != act::push) with([](step& form) { form.what = act::push; });
    if (given.what == act::pull_page || given.what == act::pull_and_close)
        with([](step& form) { form.what = act::pull; });
    if (given.skew.count() != 0) with([](step& form) { form.skew = {}; });
    if (!makes_a_change(given.what)) return forms;
    if (!given.dotted.empty()) with([](step& form) { form.dotted.clear(); });
    if (const auto fields = each_of(given.fields); fields.size() > 1)
        for (const auto& one : fields) with([&](step& form) { form.fields = one; });
    if (given.whole_second) with([](step& form) { form.whole_second = false; });
    if (given.timed != insert_time::none) with([](step& form) { form.timed = insert_time::none; });
    if (given.form != time_form::browser) with([](step& form) { form.form = time_form::browser; });
    return forms;
}

std::size_t steps_in(const plan& of) {
    std::size_t count = 0;
    for (const auto& one : of.schedules) count += one.steps.size();
    return count;
}

class shrinking {
  public:
    shrinking(plan failing, const std::function<bool(const plan&)>& fails,
              const std::function<bool()>& enough)
        : best_(std::move(failing)), fails_(fails), enough_(enough) {}

    plan to_the_end() && {
        leave_out_all_there_is();
        if (simplify_all_at_once() | simplify_each()) leave_out_all_there_is();
        return std::move(best_);
    }

  private:
    plan best_;
    const std::function<bool(const plan&)>& fails_;
    const std::function<bool()>& enough_;

    bool try_out(plan candidate) {
        if (enough_()) return false;
        candidate = fitted(std::move(candidate));
        if (!fails_(candidate)) return false;
        best_ = std::move(candidate);
        return true;
    }

    // A part that could not be left out may be of no use once another one is gone.
    void leave_out_all_there_is() {
        while (leave_out(schedules) | leave_out(moves) | leave_out(single_steps))
            if (enough_()) return;
    }

    /// A kind of parts of a plan: how many there are, and the plan without those from `begin` up to `end`.
    struct kind_of_part {
        std::size_t (*count)(const plan&);
        plan (*without)(plan, std::size_t begin, std::size_t end);
    };

    /// Runs of them, of halving length. Whether any could be left out.
    bool leave_out(const kind_of_part& parts) {
        bool changed = false;
        for (auto length = (parts.count(best_) + 1) / 2; length > 0; length /= 2)
            for (std::size_t begin = 0; begin < parts.count(best_) && !enough_();) {
                if (try_out(parts.without(best_, begin, std::min(begin + length, parts.count(best_)))))
                    changed = true;
                else
                    begin += length;
            }
        return changed;
    }

    template<class Item>
    static void erase(std::vector<Item>& from, std::size_t begin, std::size_t end) {
        const auto at = [&](std::size_t place) { return from.begin() + static_cast<std::ptrdiff_t>(place); };
        from.erase(at(begin), at(end));
    }

    static constexpr kind_of_part schedules{[](const plan& of) { return of.schedules.size(); },
                                            [](plan of, std::size_t begin, std::size_t end) {
                                                erase(of.schedules, begin, end);
                                                return of;
                                            }};

    /// Of members, after the beginning.
    static constexpr kind_of_part moves{
        [](const plan& of) {
            return static_cast<std::size_t>(std::ranges::count_if(
                of.memberships, [](const membership_change& one) { return one.after_changes > 0; }));
        },
        [](plan of, std::size_t begin, std::size_t end) {
            std::size_t place = 0;
            std::erase_if(of.memberships, [&](const membership_change& one) {
                if (one.after_changes == 0) return false;
                const auto here = place++;
                return begin <= here && here < end;
            });
            return of;
        }};

    static constexpr kind_of_part single_steps{steps_in, [](plan of, std::size_t begin, std::size_t end) {
                                                   std::size_t place = 0;
                                                   for (auto& one : of.schedules)
                                                       std::erase_if(one.steps, [&](const step&) {
                                                           const auto here = place++;
                                                           return begin <= here && here < end;
                                                       });
                                                   return of;
                                               }};

    /// What is most often of no matter goes in one try.
    bool simplify_all_at_once() {
        const auto with_all = [this](auto&& simplify) {
            auto candidate = best_;
            for (auto& one : candidate.schedules)
                for (auto& next : one.steps) simplify(next);
            return try_out(std::move(candidate));
        };
        const bool clocks = with_all([](step& next) { next.skew = {}; });
        const bool seconds = with_all([](step& next) { next.whole_second = false; });
        const bool paths = with_all([](step& next) { next.dotted.clear(); });
        return clocks || seconds || paths;
    }

    bool simplify_each() {
        bool changed = false;
        for (std::size_t i = 0; i < best_.schedules.size(); ++i)
            for (std::size_t k = 0; k < best_.schedules[i].steps.size(); ++k)
                while (simplify(i, k)) changed = true;
        return changed;
    }

    bool simplify(std::size_t of, std::size_t which) {
        for (auto& form : simpler(best_.schedules[of].steps[which])) {
            auto candidate = best_;
            candidate.schedules[of].steps[which] = std::move(form);
            if (try_out(std::move(candidate))) return true;
        }
        return false;
    }
};

} // namespace

plan touching(const plan& whole, const std::set<std::string>& records, bool few_exchanges) {
    auto kept = whole;
    for (auto& one : kept.schedules) {
        std::erase_if(one.steps, [&](const step& next) {
            return makes_a_change(next.what) && !records.contains(next.record);
        });
        if (few_exchanges) one.steps = with_few_exchanges(std::move(one.steps));
    }
    std::erase_if(kept.schedules, [](const schedule& one) {
        return std::ranges::none_of(one.steps, [](const step& next) { return makes_a_change(next.what); });
    });
    std::erase_if(kept.memberships, [&](const membership_change& one) {
        const auto names = records_of_space(whole.size, one.space);
        return std::ranges::none_of(names, [&](const auto& name) { return records.contains(name); });
    });
    return fitted(std::move(kept));
}

plan shrink(plan failing, const std::function<bool(const plan&)>& fails,
            const std::function<bool()>& enough) {
    return shrinking{std::move(failing), fails, enough}.to_the_end();
}

} // namespace mana::checker
