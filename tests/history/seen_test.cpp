// What a user sees of ordinary editing: devices that edit, type on while a push is in flight, go offline and
// come back, and lose answers, against the rules alone. Of each answer it is judged by what the field ends
// with if nobody writes any more:
//
// - a false toast says that a field became something else than that;
// - a missing one: a field that this user wrote last became something else, and no toast said so;
// - a jump: a field showed what it ends with, and then something older;
// - a time ahead: a field is shown with a later time than it claimed, more than a second after now.
//
// MANA_TEST_SEED plays one history and tells it; MANA_TEST_SEEN sets how many of each kind.
#include "tests/history/device.hpp"
#include "tests/history/rules_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::history {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using sync::instant;
using sync::json_value;
using sync::to_json_text;
using sync::to_text;

constexpr std::string_view user = "u";
constexpr std::string_view table = "notes";
constexpr milliseconds debounce{1'000};

struct tally {
    std::size_t histories = 0;
    std::size_t edits = 0;
    std::size_t false_toasts = 0;
    std::size_t missing_toasts = 0;
    std::size_t jumps = 0;
    std::size_t times_ahead = 0;
    std::size_t true_toasts = 0;

    void add(const tally& other) {
        histories += other.histories;
        edits += other.edits;
        false_toasts += other.false_toasts;
        missing_toasts += other.missing_toasts;
        jumps += other.jumps;
        times_ahead += other.times_ahead;
        true_toasts += other.true_toasts;
    }
    [[nodiscard]] std::size_t faults() const { return false_toasts + missing_toasts + jumps + times_ahead; }
    [[nodiscard]] std::string per_thousand() const {
        std::ostringstream text;
        const auto of = [&](std::size_t count) {
            return 1000.0 * static_cast<double>(count) / static_cast<double>(std::max<std::size_t>(edits, 1));
        };
        text << histories << " histories, " << edits << " edits; per thousand: false toasts "
             << of(false_toasts) << " (" << false_toasts << "), missing " << of(missing_toasts) << " ("
             << missing_toasts << "), jumps " << of(jumps) << " (" << jumps << "), times ahead "
             << of(times_ahead) << " (" << times_ahead << "); true toasts " << of(true_toasts);
        return text.str();
    }
};

/// Events of one history in the order of their time.
class timeline {
  public:
    void at(instant time, std::function<void()> what) { events_.push({time, next_++, std::move(what)}); }
    [[nodiscard]] bool empty() const { return events_.empty(); }
    std::pair<instant, std::function<void()>> next() {
        auto first = events_.top();
        events_.pop();
        return {first.time, std::move(first.what)};
    }

  private:
    struct event {
        instant time;
        int number;
        std::function<void()> what;
        bool operator<(const event& other) const {
            return std::pair(other.time, other.number) < std::pair(time, number);
        }
    };
    std::priority_queue<event> events_;
    int next_ = 0;
};

struct kind_of_editing {
    std::vector<milliseconds> clocks; ///< how far devices are ahead
    bool odd = false; ///< parts of objects are edited by themselves, and two devices may add one record
};

class editing {
  public:
    editing(std::uint64_t seed, const kind_of_editing& kind, bool told)
        : random_(seed), kind_(kind), server_(std::make_unique<rules_server>(start())), tells_(told) {
        const int devices = 2 + pick(3);
        for (int i = 0; i < devices; ++i) {
            const caller who{std::string(user), std::string(1, static_cast<char>('A' + i))};
            actors_.push_back(std::make_unique<actor>(actor{device{*server_, who}, pick_from(kind.clocks)}));
        }
        seen_.histories = 1;
    }

    tally run() {
        const auto end = start() + 20s + 1s * pick(60);
        // So that the devices' first pull finds something, and they ask no more from the epoch.
        server_->push(
            {std::string(user), "program"},
            R"({"changes":[{"table":"notes","id":"first","op":"insert","data":{"title":"welcome"}}]})");
        for (auto& one : actors_) {
            set_clocks(*one);
            one->store.pull();
            plan(*one, end);
        }
        play();
        settle();
        return seen_;
    }
    [[nodiscard]] std::string story() const { return story_.str(); }
    [[nodiscard]] const std::string& differences() const { return differences_; }

  private:
    struct actor {
        device store;
        milliseconds skew;
        bool online = true;
        bool busy = false;
        instant last_edit{};
        int push_number = 0; ///< the newest planned push counts
    };

    static instant start() { return *sync::parse_instant("2026-01-31T09:00:00Z"); }
    int pick(int below) { return std::uniform_int_distribution<int>{0, below - 1}(random_); }
    milliseconds between(int low, int high) { return milliseconds{low + pick(high - low)}; }
    bool chance(int percent) { return pick(100) < percent; }
    template<class T>
    const T& pick_from(const std::vector<T>& these) {
        return these[static_cast<std::size_t>(pick(static_cast<int>(these.size())))];
    }

    // What each user does, planned ahead; what it meets is left to the play.

    void plan(actor& one, instant end) {
        for (auto time = start() + between(0, 3'000); time < end; time += pause()) {
            if (chance(6))
                time = plan_offline(one, time);
            else if (chance(15))
                events_.at(time, [this, &one] { begin_pull(one); });
            else if (chance(30))
                time = plan_typing(one, time);
            else
                events_.at(time, [this, &one] { write(one); });
        }
    }

    milliseconds pause() { return chance(50) ? between(0, 900) : between(900, 8'000); }

    /// Keystrokes: edits of one field, each later than the last by less than the client waits to push.
    instant plan_typing(actor& one, instant time) {
        const int keys = 2 + pick(8);
        const int record = pick(3);
        for (int i = 0; i < keys; ++i) {
            events_.at(time, [this, &one, record] { type(one, record); });
            time += between(80, 700);
        }
        return time;
    }

    instant plan_offline(actor& one, instant time) {
        const auto back = time + (chance(70) ? between(2'000, 20'000) : between(60'000, 4'000'000));
        events_.at(time, [this, &one] {
            say(one, "offline");
            one.online = false;
        });
        for (int edits = pick(6); edits > 0; --edits)
            events_.at(time + between(0, 5'000), [this, &one] { write(one); });
        events_.at(back, [this, &one] { come_back(one); });
        return back;
    }

    void come_back(actor& one) {
        say(one, "online");
        one.online = true;
        if (chance(50))
            begin_pull(one);
        else
            begin_push(one);
        events_.at(now_ + between(200, 1'500), [this, &one] { begin_push(one); });
        events_.at(now_ + between(200, 2'500), [this, &one] { begin_pull(one); });
    }

    void play() {
        while (!events_.empty()) {
            auto [time, what] = events_.next();
            now_ = std::max(now_, time);
            what();
        }
    }

    void set_clocks(actor& one) {
        if (now_ > server_->now()) server_->pass(now_ - server_->now());
        one.store.at(now_ + one.skew);
    }

    void say(const actor& one, const std::string& what) {
        if (tells_)
            story_ << to_text(now_).substr(11) << ' ' << one.store.who().client << '@'
                   << to_text(now_ + one.skew).substr(11) << ' ' << what << '\n';
    }

    // Writing.

    std::string value(actor& one) {
        auto text = '"' + one.store.who().client + std::to_string(++values_) + '"';
        claims_[text] = now_ + one.skew;
        return text;
    }

    void write(actor& one) {
        set_clocks(one);
        if (ids_.empty() || chance(ids_.size() < 3 ? 30 : 6)) return add(one);
        const auto& id = pick_from(ids_);
        if (!one.store.holds(id)) return;
        const bool deleted = !at_path(one.store.record(id), "deletedAt").is_null();
        if (deleted && chance(50)) return undelete(one, id);
        if (!deleted && chance(3)) return soft_delete(one, id);
        edit(one, id, fields(one));
    }

    void type(actor& one, int record) {
        set_clocks(one);
        if (ids_.empty()) return;
        const auto& id = ids_[static_cast<std::size_t>(record) % ids_.size()];
        if (one.store.holds(id)) edit(one, id, R"("title":)" + value(one));
    }

    void add(actor& one) {
        if (one.skew > 50s) return; // its author's own time is bounded by a minute (SPEC §3 rule 5)
        const bool known_name = kind_.odd && chance(8); // as of a day's note: two devices may add it at once
        const auto id = known_name ? "today" : "r" + std::to_string(ids_.size());
        if (one.store.holds(id)) return;
        if (std::ranges::find(ids_, id) == ids_.end()) ids_.push_back(id);
        const auto made = to_text(now_ + one.skew - milliseconds{pick(4)});
        const int kind = pick(10);
        const auto times = kind < 4   ? R"(,"createdAt":")" + made + R"(","updatedAt":")" + made + '"'
                           : kind < 6 ? R"(,"createdAt":")" + made + '"'
                           : kind < 7 ? std::string(R"(,"createdAt":"2019-05-01T10:00:00.000Z")")
                                      : std::string{};
        const auto data = R"({"title":)" + value(one) + R"(,"color":)" + value(one) + R"(,"rec":{"a":)" +
                          value(one) + "}" + times + "}";
        say(one, "add " + id + ' ' + data);
        one.store.add(id, data);
        wrote(one);
    }

    void edit(actor& one, const std::string& id, const std::string& changed) {
        say(one, "edit " + id + ' ' + changed);
        one.store.edit(id, "{" + changed + "}");
        wrote(one);
    }

    void soft_delete(actor& one, const std::string& id) {
        say(one, "soft delete " + id);
        one.store.soft_delete(id);
        wrote(one);
    }

    void undelete(actor& one, const std::string& id) {
        say(one, "undelete " + id);
        one.store.undelete(id);
        told_anew_.insert(id);
        wrote(one);
    }

    std::string fields(actor& one) {
        std::string text;
        const auto put = [&](std::string_view name, const std::string& held) {
            text += (text.empty() ? "\"" : ",\"") + std::string(name) + "\":" + held;
        };
        const int kind = pick(18);
        if (kind < 9) put("title", value(one));
        if (kind >= 7 && kind < 15) put("color", value(one));
        if (kind == 15) put("rec", "{\"a\":" + value(one) + "}");
        if (kind == 16) put(kind_.odd ? "rec.a" : "color", value(one));
        if (kind == 17) put(kind_.odd ? "rec.b" : "title", value(one));
        if (chance(30)) put("updatedAt", '"' + to_text(now_ + one.skew) + '"');
        return text;
    }

    void wrote(actor& one) {
        ++seen_.edits;
        one.last_edit = now_;
        const int number = ++one.push_number;
        events_.at(now_ + debounce, [this, &one, number] {
            if (number == one.push_number) begin_push(one);
        });
    }

    // Talking. A device asks one thing at a time.

    void begin_push(actor& one) {
        if (!one.online || one.store.queued() == 0) return;
        if (one.busy) return again(one, [this](actor& later) { begin_push(later); });
        set_clocks(one);
        one.busy = true;
        say(one, "push begins");
        const auto sent = one.store.begin_push();
        const auto way = between(5, 250);
        if (chance(3)) return events_.at(now_ + way, [this, &one] { fail(one); }); // never arrives
        events_.at(now_ + way, [this, &one, sent] { serve_push(one, sent); });
    }

    void serve_push(actor& one, const device::request& sent) {
        set_clocks(one);
        const auto rows = server_->log().size();
        const auto answer = json(server_->push(one.store.who(), sent.body));
        now_ = std::max(now_, server_->now());
        if (tells_) say(one, "push served " + sent.body + " -> " + to_json_text(answer));
        if (server_->log().size() > rows) notify_others(one);
        if (chance(5)) return events_.at(now_ + 300ms, [this, &one] { fail(one); }); // its answer is lost
        deliver(
            one, answer, [sent](actor& to, const json_value& given) { to.store.finish_push(sent, given); },
            true);
    }

    void fail(actor& one) {
        say(one, "no answer");
        one.busy = false;
        events_.at(now_ + between(500, 3'000), [this, &one] { begin_push(one); });
    }

    void notify_others(const actor& pusher) {
        for (auto& one : actors_)
            if (one.get() != &pusher && one->online)
                events_.at(now_ + between(5, 200), [this, &told = *one] { begin_pull(told); });
    }

    void begin_pull(actor& one) {
        if (!one.online) return;
        if (one.busy) return again(one, [this](actor& later) { begin_pull(later); });
        one.busy = true;
        events_.at(now_ + between(5, 150), [this, &one] { serve_pull(one); });
    }

    void serve_pull(actor& one) {
        set_clocks(one);
        const auto since = one.store.cursor(std::string(table));
        const auto answer = json(server_->pull(one.store.who(), std::string(table), since, false));
        now_ = std::max(now_, server_->now());
        if (tells_ && !changes_in(answer).empty()) say(one, "pull served -> " + to_json_text(answer));
        deliver(
            one, answer,
            [](actor& to, const json_value& given) { to.store.finish_pull(std::string(table), given); },
            false);
    }

    template<class Again>
    void again(actor& one, Again what) {
        events_.at(now_ + 50ms, [&one, what] { what(one); });
    }

    /// An answer is on its way for a while, in which its device's user may write, and others push: it is
    /// judged by what the server had when it gave it.
    template<class Finish>
    void deliver(actor& one, const json_value& answer, Finish finish, bool of_push) {
        if (changes_in(answer).empty()) {
            finish(one, answer);
            one.busy = false;
            if (of_push) push_the_rest(one);
            return;
        }
        auto then = std::make_shared<rules_server>(*server_);
        events_.at(now_ + between(0, 200), [this, &one, answer, finish, then, of_push] {
            set_clocks(one);
            judge(one, *then, answer, [&] { finish(one, answer); });
            one.busy = false;
            if (of_push) push_the_rest(one);
        });
    }

    void push_the_rest(actor& one) {
        if (one.store.queued() == 0) return;
        const auto due = std::max(now_, one.last_edit + debounce);
        const int number = ++one.push_number;
        events_.at(due, [this, &one, number] {
            if (number == one.push_number) begin_push(one);
        });
    }

    static sync::json_array changes_in(const json_value& answer) {
        const auto* changes = sync::find_member(*answer.as_object(), "serverChanges");
        return *changes->as_array();
    }

    // Judging.

    struct seen_field {
        json_value shown;
        bool users = false;
    };
    using screen = std::map<std::pair<std::string, std::string>, seen_field>; ///< by id and root field

    screen screen_of(const actor& one) const {
        screen fields;
        for (const auto& id : ids_) {
            if (!one.store.holds(id)) continue;
            for (const auto* field : {"title", "color", "rec", "deletedAt"}) {
                auto shown = at_path(one.store.record(id), field);
                const bool own = is_by(one, shown);
                fields[{id, field}] = {std::move(shown), own};
            }
        }
        return fields;
    }

    /// Each value names who wrote it. Of objects and times it is not judged.
    static bool is_by(const actor& one, const json_value& shown) {
        const auto* text = shown.as_string();
        return text != nullptr && text->starts_with(one.store.who().client);
    }

    template<class Apply>
    void judge(actor& one, const rules_server& then, const json_value& answer, Apply apply) {
        const auto before = screen_of(one);
        const auto pending = one.store.queued() > 0 ? one.store.next_body() : std::string{};
        one.store.take_toasts();
        apply();
        const auto toasts = one.store.take_toasts();
        const auto after = screen_of(one);
        rules_server end = then;
        if (!pending.empty()) end.push(one.store.who(), pending);
        const auto ends_with = [&](const std::string& id, std::string_view path) {
            const auto held = end.held(std::string(user), std::string(table), id);
            return held ? at_path(*held, path) : json_value{};
        };
        std::set<std::pair<std::string, std::string>> told;
        for (const auto& toast : toasts) {
            told.insert({toast.id, toast.field});
            const auto truth = ends_with(toast.id, toast.field);
            if (same(toast.now, truth)) {
                ++seen_.true_toasts;
                continue;
            }
            ++seen_.false_toasts;
            say(one, "FALSE TOAST " + toast.id + '.' + toast.field + ' ' + to_json_text(toast.was) + " -> " +
                         to_json_text(toast.now) + ", ends with " + to_json_text(truth));
        }
        for (const auto& [place, was] : before) {
            const auto found = after.find(place);
            const auto shown = found != after.end() ? found->second.shown : json_value{};
            if (same(was.shown, shown)) continue;
            const auto truth = ends_with(place.first, place.second);
            if (was.users && !told.contains(place) && !told_anew_.contains(place.first)) {
                ++seen_.missing_toasts;
                say(one, "MISSING TOAST " + place.first + '.' + place.second + ' ' + to_json_text(was.shown) +
                             " -> " + to_json_text(shown));
            }
            if (same(was.shown, truth)) {
                ++seen_.jumps;
                say(one, "JUMP " + place.first + '.' + place.second + ' ' + to_json_text(was.shown) + " -> " +
                             to_json_text(shown));
            }
        }
        look_at_times(one, answer);
    }

    void look_at_times(const actor& one, const json_value& answer) {
        for (const auto& change : changes_in(answer)) {
            const auto* fields = sync::find_member(*change.as_object(), "fields");
            if (fields == nullptr) continue;
            for (const auto& [name, held] : *fields->as_object()) {
                const auto value = at_path(held, "value");
                const auto at = sync::parse_instant(*at_path(held, "at").as_string());
                const auto claim = claims_.find(to_json_text(value));
                if (claim == claims_.end() || *at <= claim->second || *at <= now_ + 1s) continue;
                ++seen_.times_ahead;
                say(one, "TIME AHEAD " + to_json_text(change));
            }
        }
    }

    // The end: all come online, and hold the same.

    void settle() {
        for (int round = 0; round < 5; ++round)
            for (auto& one : actors_) {
                now_ += round < 3 ? 50ms : 70s;
                set_clocks(*one);
                one->store.sync();
                now_ = std::max(now_, server_->now());
            }
        device fresh{*server_, {std::string(user), "fresh"}};
        fresh.pull();
        for (const auto& id : ids_)
            for (const auto& one : actors_)
                if (!same(one->store.record(id), fresh.record(id)))
                    differences_ += one->store.who().client + " holds " +
                                    to_json_text(one->store.record(id)) + " of " + id + ", a fresh device " +
                                    to_json_text(fresh.record(id)) + '\n';
    }

    std::mt19937_64 random_;
    kind_of_editing kind_;
    std::unique_ptr<rules_server> server_;
    std::vector<std::unique_ptr<actor>> actors_;
    timeline events_;
    instant now_ = start();
    std::vector<std::string> ids_;
    std::map<std::string, instant> claims_; ///< by value
    /// Records that were undeleted: all of their fields were told to all, who may have purged them, so that a
    /// client no longer knows which are its user's (SPEC §3 rule 7).
    std::set<std::string> told_anew_;
    int values_ = 0;
    bool tells_;
    tally seen_;
    std::ostringstream story_;
    std::string differences_;
};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    return text != nullptr ? std::stoull(text) : otherwise;
}

const std::vector<milliseconds> right_clocks{0ms, 0ms, 40ms, -300ms, 900ms, -900ms, 1'900ms, -1'900ms};
const std::vector<milliseconds> wrong_clocks{0ms, 0ms, 20s, -45s, -10min, 7min, -3h, 3h, -48h, 20h};

tally play_all(const kind_of_editing& kind) {
    const auto only = number_from("MANA_TEST_SEED", 0);
    const auto first = only != 0 ? only : 1;
    const auto count = number_from("MANA_TEST_SEEN", only != 0 ? 1 : 300);
    const bool names_faults = number_from("MANA_TEST_NAME_FAULTS", 0) != 0;
    tally all;
    int differing = 0;
    for (auto seed = first; seed < first + count; ++seed) {
        editing history{seed, kind, count == 1};
        const auto seen = history.run();
        all.add(seen);
        if (count == 1) std::puts(history.story().c_str());
        if (seen.faults() > 0 && names_faults)
            std::printf("MANA_TEST_SEED=%llu: %s\n", static_cast<unsigned long long>(seed),
                        seen.per_thousand().c_str());
        if (!history.differences().empty() && ++differing < 4)
            ADD_FAILURE() << "MANA_TEST_SEED=" << seed << '\n' << history.differences();
    }
    std::puts(all.per_thousand().c_str());
    return all;
}

TEST(seen, with_clocks_that_are_right_nothing_is_shown_that_does_not_stay) {
    EXPECT_EQ(play_all({right_clocks}).faults(), 0U);
}

TEST(seen, of_parts_of_objects_and_of_records_added_twice_little_is) {
    play_all({right_clocks, true});
}

TEST(seen, with_clocks_that_are_wrong_little_is) {
    play_all({wrong_clocks});
}

TEST(seen, with_wrong_clocks_and_parts_of_objects_all_are_equal_in_the_end) {
    play_all({wrong_clocks, true});
}

} // namespace
} // namespace mana::history
