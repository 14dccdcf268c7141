#include "tests/checker/run.hpp"

#include "shared/sync/held_rows.hpp"

#include <algorithm>
#include <future>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using sync::json_object;
using sync::json_value;
using sync::set_member;

namespace {

constexpr auto table = "notes";
/// The author of an add holds its own clock's time, which the server bounds by a minute (SPEC §3 rule 5).
constexpr milliseconds most_ahead_of_an_add{45'000};
/// Longer than GATE_CACHE twice: who is a member is known everywhere.
constexpr auto until_members_are_known = 2'500ms;
constexpr int most_rounds = 10;
constexpr auto listeners_are_there = 10s;

std::map<std::string, std::string> spaces_by_record(const plan_size& size, const std::string& prefix) {
    std::map<std::string, std::string> found;
    for (int space = 0; space < size.spaces; ++space)
        for (const auto& record : records_of_space(size, space))
            found[record] = prefix + "-s" + std::to_string(space);
    return found;
}

std::string in_form(sync::instant time, time_form form) {
    auto text = sync::to_text(time);
    switch (form) {
    case time_form::with_offset: {
        auto local = sync::to_text(time + 2h);
        local.replace(local.size() - 1, 1, "+02:00");
        return local;
    }
    case time_form::nine_digits:
        return text.substr(0, text.size() - 1) + "987654Z";
    case time_form::no_fraction:
        return text.substr(0, 19) + 'Z';
    case time_form::browser:
        break;
    }
    return text;
}

json_object members_of(const std::string& members) {
    return *history::json('{' + members + '}').as_object();
}

} // namespace

run::run(const plan& what, link_means& means, outside& services, std::string prefix)
    : plan_(what), means_(means), services_(services), prefix_(std::move(prefix)),
      space_of_record_(spaces_by_record(what.size, prefix_)) {
    change_memberships();
    for (const auto& planned : plan_.schedules) add_actor(planned);
    for (const int user : users_of(plan_))
        followers_[user] = std::make_unique<follower>(
            means_, history::caller{user_name(user), "u" + std::to_string(user) + "follower"},
            services_.token_of(user_name(user)));
    std::vector<listening_device> devices;
    for (const auto& one : actors_)
        if (one->store)
            devices.push_back({one->who.user, one->who.client, services_.token_of(one->who.user)});
    listeners_ = std::make_unique<listeners>(means_.url, std::move(devices));
    listeners_->await_all(listeners_are_there); // who is not by then, the verdict tells
}

// All at once: each takes its time.
run::~run() {
    for (const auto& [user, one] : followers_) one->stop();
}

history::extras run::extras_of_devices() const {
    return {true, true, space_of_record_};
}

void run::add_actor(const schedule& planned) {
    auto made = std::make_unique<actor>();
    made->planned = &planned;
    made->who = {user_name(planned.user), planned.client};
    const auto token = services_.token_of(made->who.user);
    made->way = std::make_unique<link>(means_, token);
    made->second_way = std::make_unique<link>(means_, token);
    if (!planned.program) {
        made->store.emplace(*made->way, made->who, std::vector<std::string>{table});
        made->store->equip(extras_of_devices());
    }
    actors_.push_back(std::move(made));
}

run::guest run::make_guest(int user, const std::string& client) {
    guest made{std::make_unique<link>(means_, services_.token_of(user_name(user))), nullptr};
    made.store = std::make_unique<history::device>(*made.way, history::caller{user_name(user), client});
    return made;
}

std::vector<const history::device*> run::devices_of(int user) const {
    std::vector<const history::device*> found;
    for (const auto& one : actors_)
        if (one->planned->user == user && one->store) found.push_back(&*one->store);
    return found;
}

// The work of many threads.

void run::carry_out(int threads) {
    for (const auto& one : actors_)
        if (!one->planned->steps.empty()) waiting_.push_back(one.get());
    unfinished_ = waiting_.size();
    std::vector<std::thread> workers;
    workers.reserve(static_cast<std::size_t>(threads));
    for (int i = 0; i < threads; ++i) workers.emplace_back([this] { work(); });
    for (auto& worker : workers) worker.join();
    over_ = true;
    if (failure_) std::rethrow_exception(failure_);
    change_memberships();
}

void run::note_failure() {
    const std::lock_guard guard{lock_};
    if (!failure_) failure_ = std::current_exception();
    over_ = true;
    woken_.notify_all();
}

void run::work() {
    std::unique_lock guard{lock_};
    for (;;) {
        woken_.wait(guard, [this] { return !waiting_.empty() || unfinished_ == 0 || failure_; });
        if (unfinished_ == 0 || failure_) return;
        auto* const one = waiting_.front();
        waiting_.pop_front();
        guard.unlock();
        try {
            slice(*one);
            change_memberships();
        } catch (const std::exception&) {
            note_failure();
        }
        guard.lock();
        if (one->next < one->planned->steps.size())
            waiting_.push_back(one);
        else
            --unfinished_;
        woken_.notify_all();
    }
}

/// Up to the next exchange with the server.
void run::slice(actor& of) {
    while (made_ > limit_ && !over_) std::this_thread::sleep_for(1ms);
    const auto& steps = of.planned->steps;
    while (of.next < steps.size()) {
        const auto& next = steps[of.next++];
        perform(of, next);
        if (makes_a_change(next.what)) ++made_;
        if (of.planned->program || !makes_a_change(next.what)) return;
    }
}

void run::perform(actor& of, const step& next) {
    of.skew = next.skew;
    if (of.planned->program) {
        push_as_program(of, next);
        return;
    }
    const auto clock = now() + of.skew;
    of.store->at(next.whole_second ? sync::instant{std::chrono::ceil<std::chrono::seconds>(clock)} : clock);
    if (makes_a_change(next.what))
        change(of, next);
    else
        exchange(of, next.what);
}

void run::change(actor& of, const step& next) const {
    auto& store = *of.store;
    if (!store.holds(next.record) || next.what == act::write)
        write(of, next);
    else if (next.what == act::soft_delete)
        store.soft_delete(next.record, next.dotted.empty() ? "{}" : '{' + next.fields + '}');
    else if (next.what == act::undelete)
        store.undelete(next.record);
    else
        store.hard_delete(next.record);
}

void run::write(actor& of, const step& next) const {
    auto& store = *of.store;
    if (store.holds(next.record)) {
        const bool both = !next.dotted.empty() && next.fields.find("\"rec\"") == std::string::npos;
        store.edit(next.record, '{' + (both ? next.fields + ',' + next.dotted : next.fields) + '}');
        return;
    }
    if (of.skew > most_ahead_of_an_add) store.at(now());
    const auto created = next.timed == insert_time::by_clock  ? sync::to_text(store.clock())
                         : next.timed == insert_time::in_2019 ? std::string{"2019-01-01T00:00:00.000Z"}
                                                              : std::string{};
    store.add(next.record,
              '{' + next.fields + (created.empty() ? "" : ",\"createdAt\":\"" + created + '"') + '}');
}

void run::exchange(actor& of, act what) {
    auto& store = *of.store;
    switch (what) {
    case act::push:
        store.push();
        break;
    case act::push_and_lose_the_answer:
        ++counts_.lost_answers;
        store.push_and_lose_the_answer();
        break;
    case act::push_twice:
        push_twice(of);
        break;
    case act::pull:
        store.pull();
        break;
    case act::pull_page:
        store.pull_page(table);
        break;
    case act::pull_and_close:
        store.pull_and_close();
        break;
    case act::wipe: // a client that was wiped pulls before it pushes
        ++counts_.wipes;
        means_.book.note(of.who.client, "is wiped");
        store.wipe();
        store.pull();
        break;
    default:
        store.sync();
    }
}

void run::push_twice(actor& of) {
    ++counts_.duplicates;
    auto other = std::async(std::launch::async,
                            [&, body = of.store->next_body()] { of.second_way->push(of.who, body); });
    of.store->push();
    other.get();
}

/// One more change, in a table of its own that no device syncs: whoever is told of that table was told of
/// this push and of no other.
sync::json_value run::naming_change(actor& of, const std::string& space) {
    const auto name = name_of_commit(++named_);
    const auto origin = of.who.client + '/' + name;
    json_object data;
    set_member(data, "updatedAt", sync::to_text(now()));
    json_object change;
    set_member(change, "table", name);
    set_member(change, "id", prefix_ + '-' + name);
    set_member(change, "op", std::string("insert"));
    set_member(change, "origin", origin);
    if (!space.empty()) set_member(change, "spaceId", space);
    set_member(change, "data", json_value{std::move(data)});
    of.naming.push_back({origin, space.empty() ? "u:" + of.who.user : "s:" + space});
    return json_value{std::move(change)};
}

std::vector<stored_row> run::naming_changes() const {
    std::vector<stored_row> found;
    for (const auto& one : actors_) found.insert(found.end(), one->naming.begin(), one->naming.end());
    return found;
}

void run::push_as_program(actor& of, const step& next) {
    json_object change;
    set_member(change, "table", std::string(table));
    set_member(change, "id", next.record);
    set_member(change, "origin", of.who.client + '/' + std::to_string(++of.changes));
    const auto shared = space_of_record_.find(next.record);
    const auto space = shared != space_of_record_.end() ? shared->second : std::string{};
    if (!space.empty()) set_member(change, "spaceId", space);
    const auto clock = now() + of.skew;
    const auto at = in_form(
        next.whole_second ? sync::instant{std::chrono::ceil<std::chrono::seconds>(clock)} : clock, next.form);
    auto given = members_of(next.fields);
    if (next.what == act::program_delete) {
        set_member(change, "op", std::string("delete"));
    } else if (next.insert) {
        if (next.timed != insert_time::none) set_member(given, "updatedAt", at);
        set_member(change, "op", std::string("insert"));
        set_member(change, "data", json_value{std::move(given)});
    } else {
        json_object fields;
        for (auto& [name, value] : given) {
            json_object field;
            set_member(field, "value", value);
            set_member(field, "at", at);
            set_member(fields, name, json_value{std::move(field)});
        }
        set_member(change, "op", std::string("update"));
        set_member(change, "fields", json_value{std::move(fields)});
    }
    json_object body;
    set_member(body, "since", sync::to_text(now()));
    set_member(body, "changes",
               json_value{sync::json_array{json_value{std::move(change)}, naming_change(of, space)}});
    of.way->push(of.who, sync::to_json_text(json_value{std::move(body)}));
}

void run::change_memberships() {
    const std::lock_guard guard{membership_lock_};
    const auto& changes = plan_.memberships;
    for (; next_membership_ < changes.size() && (over_ || changes[next_membership_].after_changes <= made_);
         ++next_membership_) {
        const auto& one = changes[next_membership_];
        const auto before = now();
        services_.set_member(user_name(one.user), space_name(one.space), one.member);
        note_membership(one, before);
        if (one.after_changes == 0) continue; // before anybody asked who is a member
        last_membership_ = std::chrono::steady_clock::now();
        ++counts_.membership_changes;
        for (const auto& of : actors_)
            if (of->planned->user == one.user)
                means_.book.note(of->who.client, (one.member ? "joins " : "leaves ") + space_name(one.space));
    }
}

void run::note_membership(const membership_change& one, sync::instant before) {
    const auto user = user_name(one.user);
    const auto scope = "s:" + space_name(one.space);
    if (one.member) {
        memberships_.push_back(
            {user, scope, one.after_changes == 0 ? sync::epoch : now(), sync::instant::max()});
        return;
    }
    for (auto& known : memberships_)
        if (known.user == user && known.scope == scope) known.until = std::min(known.until, before);
}

// Quiet.

void run::for_each_device(int threads, const std::function<void(actor&)>& work) {
    std::atomic<std::size_t> next{0};
    std::vector<std::future<void>> workers;
    workers.reserve(static_cast<std::size_t>(threads));
    for (int i = 0; i < threads; ++i)
        workers.push_back(std::async(std::launch::async, [&] {
            for (auto place = next++; place < actors_.size(); place = next++)
                if (actors_[place]->store) work(*actors_[place]);
        }));
    for (auto& worker : workers) worker.get();
}

std::string run::held_by(const actor& of) const {
    std::string held;
    const auto add = [&](const std::string& record) { held += sync::to_json_text(of.store->record(record)); };
    for (const auto& record : records_of_user(plan_.size, of.planned->user)) add(record);
    for (const auto& [record, space] : space_of_record_) add(record);
    return held;
}

void run::settle(int threads) {
    std::this_thread::sleep_until(last_membership_ + until_members_are_known);
    for (int round = 0; round < most_rounds; ++round) {
        std::atomic<int> changed{0};
        for_each_device(threads, [&](actor& of) {
            const auto before = held_by(of);
            of.store->at(now() + of.skew);
            of.store->sync();
            if (held_by(of) != before) ++changed;
        });
        if (round > 0 && changed == 0) return;
    }
    throw std::runtime_error("the devices still change after " + std::to_string(most_rounds) + " rounds");
}

/// Shown when they are due, and once more.
void run::settle_held(int threads) {
    settle(threads);
    if (!any_is_held_back()) return;
    std::this_thread::sleep_for(sync::time_to_push + 1s);
    settle(threads);
}

/// A cursor that stays before rows has more than eight digits.
bool run::any_is_held_back() const {
    constexpr auto usual = std::string_view("2026-01-31T09:00:00.00000000Z").size();
    return std::ranges::any_of(actors_, [&](const std::unique_ptr<actor>& one) {
        return one->store && one->store->cursor(table).size() > usual;
    });
}

} // namespace mana::checker
