// Load through nginx, as clients make it: each connection sends its next request when the last was answered,
// or, with --rate, when it is due. Its devices take turns on it. Prints one line, or one for each user that
// --user names.
#include "tests/bench/load_device.hpp"
#include "tests/end_to_end/http_client.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace mana::bench {
namespace {

using clock = std::chrono::steady_clock;
using end_to_end::http_client;
using end_to_end::http_reply;

constexpr int page_rows = 1'000;
constexpr int large_push = 200;
constexpr std::size_t behind_by = 10;

enum class kind { push1, push1_behind, push200, page_insert, page_update, pull_nothing, mixed };

const std::map<std::string, kind>& kinds() {
    static const std::map<std::string, kind> names{
        {"push1", kind::push1},
        {"push1_current", kind::push1}, // the cursor of the author's last answer is up to date
        {"push1_behind", kind::push1_behind},
        {"push200", kind::push200},
        {"page_insert", kind::page_insert},
        {"page_update", kind::page_update},
        {"pull_nothing", kind::pull_nothing},
        {"mixed", kind::mixed},
    };
    return names;
}

constexpr const char* kinds_help =
    "push1, push200: new records, of an author who is up to date (push1_current is push1); push1_behind: two "
    "devices of a user in turns, each 10 changes of the other behind; page_insert, page_update: pages of "
    "1,000 "
    "of a user's inserts, or updates of all fields; pull_nothing: with a cursor that is up to date; mixed: "
    "push1 and pull_nothing in turns, of which the pushes are timed";

struct options {
    std::string url;
    std::string identity;
    std::string kind_name = "push1";
    std::string app = "bench";
    std::string name;
    std::vector<std::string> named; ///< NAME[:RECORD[:SPACE]]
    int connections = 16;
    int users = 0;
    int seconds = 5;
    int warm_up = 1;
    int pause = 0;   ///< milliseconds between an answer and the connection's next request
    double rate = 0; ///< requests a second of all connections; 0: as many as are answered

    [[nodiscard]] kind what() const { return kinds().at(kind_name); }
    [[nodiscard]] bool reads_pages() const {
        return what() == kind::page_insert || what() == kind::page_update;
    }
};

/// A request that was answered with 200.
struct timing {
    double milliseconds;
    std::size_t user; ///< its place in the list of all
    bool push;
};

struct measured {
    std::vector<timing> answered;
    std::size_t refused = 0; ///< 503: overloaded, try again
    std::string failure;     ///< what ended the connection early
};

/// When requests are due, of all connections together. Thread-safe.
class pace {
  public:
    explicit pace(double rate) : rate_{rate} {}

    [[nodiscard]] bool given() const { return rate_ > 0; }

    /// Each time is given to one connection.
    clock::time_point next(clock::time_point started) {
        const auto ticket = static_cast<double>(taken_.fetch_add(1, std::memory_order_relaxed));
        const std::chrono::duration<double> later{ticket / rate_};
        return started + std::chrono::duration_cast<clock::duration>(later);
    }

  private:
    const double rate_;
    std::atomic<std::uint64_t> taken_{0};
};

struct period {
    clock::time_point started;
    clock::time_point counts; ///< what begins earlier warms up
    clock::time_point until;
};

/// The last value of that name, without reading all of a large answer.
std::string last_text(const std::string& body, std::string_view name) {
    const std::string key = '"' + std::string{name} + R"(":")";
    const auto found = body.rfind(key);
    if (found == std::string::npos) throw std::runtime_error("an answer has no " + std::string{name});
    const auto begin = found + key.size();
    return body.substr(begin, body.find('"', begin) - begin);
}

/// Without what a cursor says of its beginning, in digits after the sixth.
std::string position_of(const std::string& cursor) {
    const auto point = cursor.find('.');
    return point == std::string::npos ? cursor : cursor.substr(0, point + 7) + 'Z';
}

int occurrences(const http_reply& reply, std::string_view text) {
    int count = 0;
    for (auto at = reply.body.find(text); at != std::string::npos;
         at = reply.body.find(text, at + text.size()))
        ++count;
    return count;
}

bool has(const http_reply& reply, std::string_view text) {
    return reply.body.find(text) != std::string::npos;
}

[[noreturn]] void fail(const std::string& what, const http_reply& reply) {
    throw std::runtime_error(what + ", status " + std::to_string(reply.status) + ": " +
                             reply.body.substr(0, 300));
}

/// One connection; its devices take turns on it.
class connection {
  public:
    connection(const options& given, int number, const std::vector<user>& users, pace& paced)
        : given_{given}, paced_{paced}, http_{given.url} {
        const auto all = users.size();
        const auto step = static_cast<std::size_t>(given.connections);
        // Fewer users than connections: they are shared. Users that are named are asked for on each.
        const auto first = given.named.empty() ? static_cast<std::size_t>(number) % all : 0;
        for (auto place = first; place < all; place += given.named.empty() ? step : 1) {
            const auto client = "client-" + std::to_string(number);
            devices_.emplace_back(users[place], place, client);
            if (given.what() == kind::push1_behind)
                devices_.emplace_back(users[place], place, client + "-other");
        }
        shared_ = given.connections > 1 && (!given.named.empty() || all < step);
        fills_ = static_cast<std::size_t>(number) < all && given.named.empty();
    }

    /// What has to be there before it starts.
    void prepare() {
        for (auto& each : devices_)
            if (given_.reads_pages()) {
                find_page(each);
            } else {
                go_to_end(each);
            }
        if (given_.what() == kind::push1_behind) fall_behind();
    }

    void measure(const period& during, measured& into) {
        for (std::size_t turn = 0;; ++turn) {
            const auto due = paced_.given() ? paced_.next(during.started) : clock::now();
            if (due >= during.until) return;
            std::this_thread::sleep_until(due);
            auto& each = device_of(turn);
            const bool pushes = is_push(turn);
            // What waits for its turn is late already, so it counts from when it was due.
            const auto body = pushes ? body_of(each) : std::string{};
            const auto began = paced_.given() ? due : clock::now();
            const auto reply = pushes ? push(each, body) : pull(each, each.cursor());
            const std::chrono::duration<double, std::milli> took = clock::now() - began;
            if (!is_answered(reply, pushes, each)) {
                ++into.refused;
            } else if (began >= during.counts) {
                into.answered.push_back({took.count(), each.place(), pushes});
            }
            std::this_thread::sleep_for(std::chrono::milliseconds{given_.pause});
        }
    }

  private:
    const options& given_;
    pace& paced_;
    http_client http_;
    std::vector<device> devices_;
    std::minstd_rand random_;
    bool shared_ = false; ///< other connections push for the same users
    bool fills_ = false;  ///< makes the page of a user who has none; only one connection does

    /// In turns; users that are to be compared in an order that changes, so that nobody always comes after
    /// the same one.
    device& device_of(std::size_t turn) {
        const auto place = turn % devices_.size();
        if (place == 0 && !given_.named.empty()) std::ranges::shuffle(devices_, random_);
        return devices_[place];
    }

    [[nodiscard]] bool is_push(std::size_t turn) const {
        switch (given_.what()) {
        case kind::push1:
        case kind::push1_behind:
        case kind::push200:
            return true;
        case kind::page_insert:
        case kind::page_update:
        case kind::pull_nothing:
            return false;
        case kind::mixed:
            return turn / devices_.size() % 2 == 0;
        }
        return false;
    }

    [[nodiscard]] std::string body_of(device& from) const {
        return given_.what() == kind::push200 ? from.new_records(large_push) : from.one_change();
    }

    http_reply push(device& from, const std::string& body) {
        return http_.post("/sync/" + given_.app, body, from.headers());
    }

    http_reply pull(device& from, std::string_view since) {
        return http_.get("/sync/" + given_.app + "/pull?collection=notes&since=" + std::string{since},
                         from.headers());
    }

    /// Whether it was answered as it should be; one that says less would be a fast one.
    bool is_answered(const http_reply& reply, bool pushed, device& by) {
        if (reply.status == 503) {
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
            return false;
        }
        if (given_.reads_pages()) {
            expect_page(reply);
        } else if (pushed) {
            expect_stored(reply);
            by.add_cursor(last_text(reply.body, "syncedUntil"), lag());
        } else if (reply.status != 200 || !has(reply, R"("serverChanges":[])")) {
            fail("a pull was to find nothing", reply);
        }
        return true;
    }

    [[nodiscard]] std::size_t lag() const { return given_.what() == kind::push1_behind ? behind_by - 1 : 0; }

    static void expect_page(const http_reply& reply) {
        constexpr std::size_t least_bytes_a_change = 100;
        if (reply.status != 200 || reply.body.size() < least_bytes_a_change * page_rows)
            fail("a pull was to find a page of 1,000", reply);
    }

    void expect_stored(const http_reply& reply) const {
        const bool behind = given_.what() == kind::push1_behind;
        const bool alone = !shared_ && !behind;
        const bool told_of_none = has(reply, R"("serverChanges":[])");
        if (reply.status != 200 || !has(reply, R"("conflicts":[])") || has(reply, R"("rejected":)") ||
            (behind && told_of_none) || (alone && !told_of_none))
            fail("a push was not answered as it should be", reply);
    }

    void go_to_end(device& each) {
        const auto reply = pull(each, end_of_time);
        if (reply.status != 200) fail("a device is given no cursor", reply);
        each.set_cursor(position_of(last_text(reply.body, "syncedUntil")));
    }

    /// As many changes of the other device lie beyond the cursor of each then.
    void fall_behind() {
        for (std::size_t turn = 0; turn < behind_by * devices_.size(); ++turn) {
            auto& each = devices_[turn % devices_.size()];
            const auto reply = push_before(each, each.one_change());
            each.add_cursor(last_text(reply.body, "syncedUntil"), lag());
        }
    }

    /// The device's cursor lies before the page then.
    void find_page(device& each) {
        if (!stand_before_page(each)) {
            if (!fills_) return await_page(each);
            fill(each);
            if (!stand_before_page(each)) throw std::runtime_error("a user's page is not full");
        }
    }

    bool stand_before_page(device& each) {
        each.set_cursor(std::string{start_of_time});
        const auto first = pull(each, each.cursor());
        if (given_.what() == kind::page_insert) return occurrences(first, R"("op":"insert")") == page_rows;
        if (occurrences(first, R"("eventId")") != page_rows) return false;
        each.set_cursor(position_of(last_text(first.body, "syncedUntil")));
        return occurrences(pull(each, each.cursor()), R"("op":"update")") == page_rows;
    }

    /// Another connection makes it.
    void await_page(device& each) {
        const auto until = clock::now() + std::chrono::seconds{30};
        while (!stand_before_page(each)) {
            if (clock::now() > until) throw std::runtime_error("waited 30 s for a user's page to be made");
            std::this_thread::sleep_for(std::chrono::milliseconds{50});
        }
    }

    /// 1,000 inserts and then as many updates, from other devices.
    void fill(device& each) {
        go_to_end(each);
        std::vector<device> fillers;
        for (int i = 0; i < page_rows / large_push; ++i)
            fillers.push_back(each.another("filler-" + std::to_string(i)));
        for (auto& filler : fillers) push_before(filler, filler.new_records(large_push));
        for (auto& filler : fillers) push_before(filler, filler.update_last_records());
    }

    http_reply push_before(device& from, const std::string& body) {
        auto reply = push(from, body);
        if (reply.status != 200) fail("a push before the measuring failed", reply);
        return reply;
    }
};

std::vector<user> users_of(const options& given) {
    http_client identity{given.identity};
    std::vector<user> users;
    for (const auto& named : given.named) {
        std::istringstream parts{named};
        user each;
        std::getline(parts, each.name, ':');
        std::getline(parts, each.record, ':');
        std::getline(parts, each.space);
        each.token = identity.get("/token?user=" + each.name).body;
        users.push_back(std::move(each));
    }
    if (!users.empty()) return users;
    const auto reply = identity.get("/tokens?prefix=" + given.name + "&count=" + std::to_string(given.users));
    std::istringstream tokens{reply.body};
    for (std::string token; std::getline(tokens, token);)
        users.push_back({given.name + '-' + std::to_string(users.size()), token, {}, {}});
    if (reply.status != 200 || users.size() != static_cast<std::size_t>(given.users))
        throw std::runtime_error("the identity service gives no tokens");
    return users;
}

std::vector<measured> run_connections(const options& given, const std::vector<user>& users, double& seconds) {
    std::vector<measured> results(static_cast<std::size_t>(given.connections));
    pace paced{given.rate};
    period during;
    std::barrier go(given.connections, [&]() noexcept {
        during.started = clock::now();
        during.counts = during.started + std::chrono::seconds{given.warm_up};
        during.until = during.counts + std::chrono::seconds{given.seconds};
    });
    std::vector<std::thread> threads;
    for (int number = 0; number < given.connections; ++number)
        threads.emplace_back([&, number] {
            auto& into = results[static_cast<std::size_t>(number)];
            bool arrived = false;
            try {
                connection each{given, number, users, paced};
                each.prepare();
                arrived = true;
                go.arrive_and_wait();
                each.measure(during, into);
            } catch (const std::exception& failed) {
                into.failure = failed.what();
                if (!arrived) go.arrive_and_drop();
            }
        });
    for (auto& thread : threads) thread.join();
    seconds = std::chrono::duration<double>(clock::now() - during.counts).count();
    return results;
}

double percentile(const std::vector<double>& sorted, double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

/// `of`: which of the requests are timed. All count for the rate.
void report(const options& given, const std::string& what, const std::vector<measured>& results,
            double seconds, const std::function<bool(const timing&)>& of) {
    std::vector<double> times;
    std::size_t refused = 0;
    for (const auto& result : results) {
        refused += result.refused;
        for (const auto& each : result.answered)
            if (of(each)) times.push_back(each.milliseconds);
    }
    if (times.empty()) throw std::runtime_error("nothing was answered in time");
    std::ranges::sort(times);
    const double rate = static_cast<double>(times.size()) / seconds;
    const int changes = given.what() == kind::push200 ? large_push : given.reads_pages() ? page_rows : 1;
    std::printf("%s requests/s=%.1f changes/s=%.0f p50_ms=%.2f p99_ms=%.2f refused=%zu\n", what.c_str(), rate,
                rate * changes, percentile(times, 0.50), percentile(times, 0.99), refused);
}

int measure(const options& given) {
    const auto users = users_of(given);
    double seconds = 0;
    const auto results = run_connections(given, users, seconds);
    for (const auto& result : results)
        if (!result.failure.empty()) throw std::runtime_error(result.failure);
    if (given.named.empty()) {
        const bool pushes_only = given.what() == kind::mixed;
        report(given, given.kind_name, results, seconds,
               [=](const timing& each) { return each.push || !pushes_only; });
        return 0;
    }
    for (std::size_t place = 0; place < users.size(); ++place)
        report(given, given.kind_name + " user=" + users[place].name, results, seconds,
               [=](const timing& each) { return each.user == place; });
    return 0;
}

int run(int argc, char** argv) {
    options given;
    given.name = "load-" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
    CLI::App app{"Load on mana-sync through nginx."};
    std::vector<std::string> names;
    for (const auto& [name, what] : kinds()) names.push_back(name);
    app.add_option("--url", given.url, "Where nginx listens")->required();
    app.add_option("--identity", given.identity, "Where GET /tokens gives tokens")->required();
    app.add_option("--kind", given.kind_name, kinds_help)->check(CLI::IsMember(names))->capture_default_str();
    app.add_option("--connections", given.connections, "Requests under way at a time")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    app.add_option("--seconds", given.seconds, "How long")->check(CLI::Range(1, 600))->capture_default_str();
    app.add_option("--warm-up", given.warm_up, "Seconds before that")
        ->check(CLI::Range(0, 60))
        ->capture_default_str();
    app.add_option("--pause", given.pause, "Milliseconds between an answer and the connection's next request")
        ->check(CLI::Range(0, 1000))
        ->capture_default_str();
    app.add_option("--rate", given.rate,
                   "Requests a second, sent when they are due (default: when one is answered)")
        ->check(CLI::PositiveNumber);
    app.add_option("--users", given.users, "How many users (default: one a connection)")
        ->check(CLI::Range(1, 10'000));
    app.add_option("--name", given.name, "Users are called NAME-0, NAME-1, … (default: new ones)");
    app.add_option(
        "--user", given.named,
        "NAME[:RECORD[:SPACE]]: this user instead, told of by itself; pushes update the record. More "
        "than one: in turns");
    CLI11_PARSE(app, argc, argv);
    if (given.users == 0) given.users = given.connections;
    try {
        return measure(given);
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "load: %s\n", failed.what());
        return 1;
    }
}

} // namespace
} // namespace mana::bench

int main(int argc, char** argv) {
    return mana::bench::run(argc, argv);
}
