#include "tests/checker/told.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <tuple>
#include <utility>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using sync::instant;

namespace {

constexpr std::string_view named_table = "told-";
/// GATE_CACHE of the checker's parts twice, and a moment: who has joined is known everywhere.
constexpr auto members_are_known = 2'500ms;
/// A hub that was just started tells what was pushed in the minute before, to those who come back within the
/// next; less than that, since nobody measures it to the millisecond.
constexpr auto hub_tells_again = 50s;
/// Of a device that found the server there again.
constexpr auto comes_back_within = 5s;
constexpr instant never = instant::max();
constexpr std::size_t most_stories = 4;
constexpr std::size_t most_connections_told = 8;

std::string time_of_day(instant at) {
    return at == never ? "the end" : sync::to_text(at).substr(11, 12);
}

std::string in_ms(milliseconds time) {
    return std::to_string(time.count()) + " ms";
}

/// One run's commits against one run's devices.
class judge_of_all {
  public:
    judge_of_all(const happenings& all, instant now) : all_(all), now_(now) {}

    tellings result() {
        for (const auto& made : all_.commits) {
            const auto due = extended(made.begun, made.made_by + told_within);
            for (const auto& device : all_.devices) judge_one(made, device, due);
        }
        for (const auto& device : all_.devices)
            found_.cuts += static_cast<std::size_t>(
                std::ranges::count_if(device.connections, [](const auto& one) { return one.lost != never; }));
        measure();
        return std::move(found_);
    }

  private:
    const happenings& all_;
    const instant now_;
    tellings found_;
    std::vector<milliseconds> times_;

    enum class reading { no, perhaps, yes };
    struct telling {
        instant at = never;
        bool by_name = false;
        bool by_pulling = false;
    };

    void judge_one(const commit& made, const hearing& device, instant due) {
        if (made.client == device.client) return;
        if (!may_read(made, device)) return;
        const auto told = first_telling(made, device);
        const bool soon = told.at <= due;
        if (!soon) due = with_connections(device, made.begun, due);
        switch (reads(made, device, soon ? told.at : due)) {
        case reading::no:
            return;
        case reading::perhaps:
            ++found_.left_out;
            return;
        case reading::yes:
            break;
        }
        if (told.at <= due) return count(made, told, due);
        if (told.at == never && now_ <= due) {
            found_.final_at = std::max(found_.final_at, due);
            return;
        }
        fault(made, device, told, due);
    }

    static bool is_own_scope(const commit& made, const hearing& device) {
        return made.scope.size() == device.user.size() + 2 && made.scope.starts_with("u:") &&
               made.scope.ends_with(device.user);
    }

    /// A quick look: most devices are not concerned.
    [[nodiscard]] bool may_read(const commit& made, const hearing& device) const {
        return is_own_scope(made, device) || std::ranges::any_of(all_.members, [&](const membership& one) {
                   return one.user == device.user && one.scope == made.scope;
               });
    }

    /// Until the device was told, or should have been.
    [[nodiscard]] reading reads(const commit& made, const hearing& device, instant until) const {
        if (is_own_scope(made, device)) return reading::yes;
        auto found = reading::no;
        for (const auto& one : all_.members) {
            if (one.user != device.user || one.scope != made.scope) continue;
            if (one.until < made.begun || one.from > until) continue;
            const auto known = one.from == sync::epoch
                                   ? one.from
                                   : extended(one.from, one.from + members_are_known, members_are_known);
            if (known <= made.begun && until <= one.until) return reading::yes;
            found = reading::perhaps;
        }
        return found;
    }

    telling first_telling(const commit& made, const hearing& device) const {
        telling first;
        if (made.named) {
            const auto named = device.named.find(*made.named);
            if (named != device.named.end()) first = {named->second, true, false};
        } else if (const auto told = std::ranges::lower_bound(device.told, made.begun);
                   told != device.told.end()) {
            first.at = *told;
        }
        const auto pulled = first_pull(made, device);
        return pulled < first.at ? telling{pulled, false, true} : first;
    }

    /// A client pulls after each auth-ok (docs/protocol.md), and finds what was committed by then. Where it
    /// came back while the push was under way, what it was not told was committed before. Where the hub was
    /// just started it is told as well, and the telling is what counts.
    [[nodiscard]] instant first_pull(const commit& made, const hearing& device) const {
        for (auto one =
                 std::ranges::lower_bound(device.connections, made.begun, {}, &connection_time::opened);
             one != device.connections.end(); ++one)
            if (!hub_tells(made, one->opened)) return one->opened;
        return never;
    }

    [[nodiscard]] bool hub_tells(const commit& made, instant opened) const {
        return std::ranges::any_of(all_.outages, [&](const outage& one) {
            return one.kind == "hub" && one.struck <= opened && opened < one.struck + hub_tells_again &&
                   made.begun > one.struck - hub_tells_again;
        });
    }

    /// What should have been over then, when it is over where parts were away meanwhile.
    [[nodiscard]] instant extended(instant begun, instant due, milliseconds more = told_within) const {
        for (const auto& one : all_.outages) {
            if (one.struck >= due) break;
            if (one.back > begun) due = one.back == never ? never : std::max(due, one.back + more);
        }
        return due;
    }

    /// The same, with the times when the device had no connection. It has to come back, though.
    [[nodiscard]] instant with_connections(const hearing& device, instant begun, instant due) const {
        const auto& all = device.connections;
        for (std::size_t i = 0; i < all.size() && all[i].lost < due; ++i) {
            if (i + 1 == all.size())
                return extended(begun, std::max(due, all[i].lost + comes_back_within + told_within));
            const auto opened = all[i + 1].opened;
            if (opened <= begun) continue;
            const auto by = extended(all[i].lost, all[i].lost + comes_back_within);
            due = extended(begun, std::max(due, std::min(opened, by) + told_within));
        }
        return due;
    }

    void count(const commit& made, const telling& told, instant due) {
        ++found_.told;
        if (told.by_name) ++found_.named;
        if (told.by_pulling) ++found_.by_pulling;
        if (made.answered) times_.push_back(std::max(told.at - made.made_by, milliseconds{}));
        found_.longest_after_return = std::max(found_.longest_after_return, told.at - (due - told_within));
    }

    void measure() {
        if (times_.empty()) return;
        const auto at = [&](std::size_t percent) {
            const auto place =
                times_.begin() + static_cast<std::ptrdiff_t>((times_.size() - 1) * percent / 100);
            std::ranges::nth_element(times_, place);
            return *place;
        };
        found_.median = at(50);
        found_.late_one = at(99);
        found_.longest = at(100);
    }

    void fault(const commit& made, const hearing& device, const telling& told, instant due) {
        if (++found_.faults > most_stories) return;
        auto& lines = found_.stories;
        lines.push_back(device.client + " was told of " + made.origin + " in " + made.scope +
                        (told.at == never ? " never" : " late, at " + time_of_day(told.at)) +
                        ": it was sent at " + time_of_day(made.begun) +
                        (made.answered ? ", answered at " + time_of_day(made.made_by) : ", never answered") +
                        ", and due at " + time_of_day(due) + ", " + in_ms(due - made.made_by) + " later" +
                        (made.named ? "; its table is " + name_of_commit(*made.named) : ""));
        tell_of(device, made.begun, due);
        for (const auto& one : all_.outages)
            if (one.back > made.begun && one.struck < due)
                lines.push_back("  " + one.kind + " was struck at " + time_of_day(one.struck) + ", back at " +
                                time_of_day(one.back));
    }

    void tell_of(const hearing& device, instant begun, instant due) {
        auto& lines = found_.stories;
        const auto after = std::ranges::lower_bound(device.told, begun);
        std::string line = "  it was told something at";
        if (after != device.told.begin()) line += ' ' + time_of_day(*std::prev(after));
        if (after != device.told.end()) line += " and then at " + time_of_day(*after);
        lines.push_back(device.told.empty() ? "  it was never told anything" : line);
        std::size_t shown = 0;
        for (const auto& one : device.connections) {
            if (one.lost < begun || one.opened > due || ++shown > most_connections_told) continue;
            lines.push_back("  it was connected from " + time_of_day(one.opened) + " until " +
                            time_of_day(one.lost) + (one.reason.empty() ? "" : " (" + one.reason + ')'));
        }
        if (shown == 0) lines.emplace_back("  it was not connected at all");
    }
};

} // namespace

std::string name_of_commit(unsigned number) {
    return std::string(named_table) + std::to_string(number);
}

std::optional<unsigned> number_of_named(std::string_view table) {
    if (!table.starts_with(named_table)) return std::nullopt;
    table.remove_prefix(named_table.size());
    unsigned number = 0;
    const auto* const end = table.data() + table.size();
    const auto [stopped, failed] = std::from_chars(table.data(), end, number);
    return failed == std::errc{} && stopped == end ? std::optional{number} : std::nullopt;
}

commits_found commits_in(const std::vector<stored_row>& stored, const journal& book) {
    commits_found found;
    std::map<std::string, std::size_t, std::less<>> rows;
    using push = std::tuple<std::string, std::string, instant, instant>;
    std::map<push, std::size_t> places;
    for (const auto& row : stored) {
        const auto done = book.first_done(row.origin);
        if (!done || row.scope.empty()) continue; // nobody sent it: another rule's fault
        if (++rows[row.origin] > 1) {
            ++found.left_out;
            continue;
        }
        const auto slash = row.origin.find('/');
        const auto client = row.origin.substr(0, slash);
        const auto named = number_of_named(std::string_view{row.origin}.substr(slash + 1));
        const auto [place, is_new] =
            places.try_emplace({row.scope, client, done->begun, done->by}, found.commits.size());
        if (is_new)
            found.commits.push_back(
                {row.scope, client, row.origin, done->begun, done->by, done->answered, named});
        else if (named)
            found.commits[place->second].named = named;
    }
    return found;
}

tellings judge(const happenings& all, instant now) {
    return judge_of_all{all, now}.result();
}

} // namespace mana::checker
