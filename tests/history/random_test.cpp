// Random histories of several devices against the rules: at the end of each all devices, a fresh one, the
// state and a replay of the log hold the same. MANA_TEST_SEED names the first, which is printed where it is
// alone; MANA_TEST_HISTORIES sets how many.
#include "shared/sync/wire.hpp"
#include "tests/history/device.hpp"
#include "tests/history/rules_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace mana::history {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using sync::json_value;
using sync::to_json_text;
using sync::to_text;

constexpr std::string_view user = "u";

/// What another program makes of the log: rows in their order, fields by `>=` of their times (SPEC §5).
json_value replay(const rules_server& server, const std::string& id) {
    json_value record;
    std::map<std::string, sync::instant> times;
    for (const auto& logged : server.log()) {
        const auto& row = logged.row;
        if (row.heading.record_id != id) continue;
        if (row.op == sync::operation::remove) {
            record = {};
            times.clear();
        }
        auto fields = sync::shown_fields(logged.data, logged.field_meta, logged.at);
        std::ranges::stable_sort(fields, {}, [](const auto& field) { return sync::path_depth(field.name); });
        for (const auto& field : fields) {
            if (record.is_null()) record = sync::json_object{};
            const auto held = times.find(field.name);
            if (held != times.end() && field.at < held->second) continue;
            times.insert_or_assign(field.name, field.at);
            set_path(record, field.name, field.value);
        }
    }
    return plain(record);
}

class random_history {
  public:
    explicit random_history(std::uint64_t seed)
        : random_(seed), server_(*sync::parse_instant("2026-01-31T09:00:00Z")) {
        const int devices = 2 + pick(3);
        for (int i = 0; i < devices; ++i)
            devices_.push_back(
                {device{server_, {std::string(user), std::string(1, static_cast<char>('A' + i))}}, skew()});
        server_.pull_page_rows = 1 + pick(6);
        if (chance(50)) server_.push_page_rows = 1 + pick(8);
    }

    /// What differs at the end; empty: nothing.
    std::string run() {
        const int steps = 10 + pick(50);
        for (int i = 0; i < steps; ++i) step();
        settle();
        return compare();
    }
    [[nodiscard]] std::string told() const { return story_.str(); }

  private:
    struct actor {
        device store;
        milliseconds skew;
    };

    int pick(int below) { return std::uniform_int_distribution<int>{0, below - 1}(random_); }
    bool chance(int percent) { return pick(100) < percent; }
    template<class T>
    const T& one_of(const std::vector<T>& these) {
        return these[static_cast<std::size_t>(pick(static_cast<int>(these.size())))];
    }

    milliseconds skew() {
        static const std::vector<milliseconds> skews{0ms, 0ms, 0ms, 30ms, -40ms, 20s, -10min, 3h, 72h, -48h};
        return one_of(skews);
    }

    void step() {
        static const std::vector<milliseconds> pauses{0ms, 1ms, 1ms, 5ms, 300ms, 61s, 2h, 26h};
        if (chance(60)) server_.pass(one_of(pauses));
        auto& [store, skew] = devices_[static_cast<std::size_t>(pick(static_cast<int>(devices_.size())))];
        if (chance(3)) skew = this->skew();
        store.at(server_.now() + skew);
        const auto kind = pick(100);
        if (kind < 50)
            write(store, skew);
        else if (kind < 64)
            say(store, "push", [&] { store.push(); });
        else if (kind < 70)
            say(store, "push, answer lost", [&] { store.push_and_lose_the_answer(); });
        else if (kind < 84)
            say(store, "pull", [&] { store.pull(); });
        else if (kind < 88)
            say(store, "pull, closed after a page", [&] { store.pull_and_close(); });
        else if (kind < 90)
            wipe(store);
        else if (kind < 96)
            program_writes();
        else
            say(store, "sync", [&] { store.sync(); });
    }

    template<class Action>
    void say(const device& of, const std::string& what, Action action) {
        story_ << to_text(server_.now()).substr(5) << ' ' << of.who().client << '@'
               << to_text(of.clock()).substr(5) << ' ' << what << '\n';
        action();
    }

    /// A client pulls before it pushes again. Where the answer to a push is cut, it must: a slow clock, sent
    /// in place of the cursor, does not say that the client began at the epoch.
    void wipe(device& store) {
        say(store, "wipe", [&] { store.wipe(); });
        if (server_.push_page_rows < 100) say(store, "pull", [&] { store.pull(); });
    }

    std::string value() { return '"' + std::to_string(++values_) + '"'; }
    std::string object() { return R"({"unit":)" + value() + R"(,"int":)" + value() + "}"; }

    /// Fields as an add or an edit sets them.
    std::string fields(bool dotted) {
        std::string text;
        const auto put = [&](std::string_view name, const std::string& held) {
            text += (text.empty() ? "" : ",") + ('"' + std::string(name) + "\":" + held);
        };
        if (chance(60)) put("content", chance(20) ? "\"\"" : value());
        if (chance(40)) put("color", chance(15) ? "null" : value());
        if (dotted && chance(35))
            put(chance(50) ? "rec.int" : "rec.unit.deep", value());
        else if (chance(25))
            put("rec", chance(25) ? "null" : chance(15) ? value() : object());
        if (text.empty()) put("content", value());
        return text;
    }

    void write(device& store, milliseconds skew) {
        const auto& id = one_of(ids_);
        if (!store.holds(id)) {
            // The author of an add holds its own clock's time, which the server bounds by a minute (SPEC §3
            // rule 5).
            if (skew > 50s) return;
            const auto times = chance(70)   ? std::string{}
                               : chance(50) ? R"(,"createdAt":")" + to_text(store.clock()) + '"'
                                            : std::string{R"(,"createdAt":"2019-01-01T00:00:00.000Z")"};
            const auto data = "{" + fields(false) + times + "}";
            say(store, "add " + id + ' ' + data, [&] { store.add(id, data); });
            return;
        }
        const auto kind = pick(20);
        if (kind < 14) {
            const auto changed = "{" + fields(true) + "}";
            say(store, "edit " + id + ' ' + changed, [&] { store.edit(id, changed); });
        } else if (kind < 16) {
            say(store, "soft delete " + id,
                [&] { store.soft_delete(id, chance(50) ? "{}" : R"({"color":"gone"})"); });
        } else if (kind < 18) {
            say(store, "undelete " + id, [&] { store.undelete(id); });
        } else {
            say(store, "hard delete " + id, [&] { store.hard_delete(id); });
        }
    }

    /// Another program: no store, a client id of its own, times of its own.
    void program_writes() {
        const auto& id = one_of(ids_);
        const auto at = to_text(server_.now() + skew());
        const auto change =
            chance(25)   ? R"("op":"delete")"
            : chance(30) ? R"("op":"insert","data":{)" + fields(false) + R"(,"updatedAt":")" + at + "\"}"
            : chance(30)
                ? R"("op":"insert","data":{)" + fields(false) + "}"
                : R"("op":"update","fields":{"content":{"value":)" + value() + R"(,"at":")" + at + "\"}}";
        const auto body = R"({"changes":[{"table":"notes","id":")" + id + "\"," + change + "}]}";
        story_ << to_text(server_.now()).substr(5) << " program " << body << '\n';
        server_.push({std::string(user), "program"}, body);
    }

    /// Who inserted a record, with a clock that is ahead, takes what others wrote there once it is sure that
    /// the clock has passed (SPEC §3 rule 5).
    void settle() {
        for (int round = 0; round < 5; ++round)
            for (auto& [store, skew] : devices_) {
                server_.pass(round >= 2 ? 70s : 1ms);
                store.at(server_.now() + skew);
                say(store, "sync", [&store = store] { store.sync(); });
            }
    }

    std::string compare() {
        std::ostringstream differences;
        device fresh{server_, {std::string(user), "F"}};
        fresh.pull();
        for (const auto& id : ids_) {
            const auto expected = fresh.record(id);
            const auto check = [&](std::string_view who, const json_value& held) {
                if (same(held, expected)) return;
                differences << id << ": " << who << " holds " << to_json_text(held) << ", a fresh device "
                            << to_json_text(expected) << '\n';
            };
            for (const auto& [store, skew] : devices_) check(store.who().client, store.record(id));
            check("the state", plain(*server_.held(std::string(user), "notes", id)));
            check("a replay of the log", replay(server_, id));
        }
        return differences.str();
    }

    std::mt19937_64 random_;
    rules_server server_;
    std::vector<actor> devices_;
    const std::vector<std::string> ids_{"r1", "r2"};
    std::ostringstream story_;
    int values_ = 0;
};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    return text != nullptr ? std::stoull(text) : otherwise;
}

TEST(random_histories, end_with_all_devices_equal) {
    constexpr std::uint64_t first_seed = 1;
    const auto only = number_from("MANA_TEST_SEED", 0);
    const auto first = only != 0 ? only : first_seed;
    const auto count = number_from("MANA_TEST_HISTORIES", only != 0 ? 1 : 3'000);
    int failed = 0;
    for (auto seed = first; seed < first + count && failed < 3; ++seed) {
        random_history history{seed};
        const auto differences = history.run();
        if (count == 1) std::puts(history.told().c_str());
        if (differences.empty()) continue;
        ++failed;
        ADD_FAILURE() << "MANA_TEST_SEED=" << seed << "\n" << differences << history.told();
    }
}

} // namespace
} // namespace mana::history
