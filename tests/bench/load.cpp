// Load through nginx, as clients make it: each connection sends its next request when the last was answered,
// with the cursor of that answer. Prints one line.
#include "shared/sync/time.hpp"
#include "tests/bench/sample.hpp"
#include "tests/end_to_end/http_client.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <random>
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
constexpr std::string_view start_of_time = "1970-01-01T00:00:00.000Z";

struct options {
    std::string url;
    std::string identity;
    std::string kind = "push1";
    std::string app = "bench";
    std::string name;
    int connections = 16;
    int users = 0;
    int seconds = 5;
};

struct measured {
    std::vector<double> milliseconds; ///< of each request that was answered with 200
    std::size_t refused = 0;          ///< 503: overloaded, try again
    std::string failure;              ///< what ended the connection early
};

std::string random_hex() {
    thread_local std::mt19937_64 random{std::random_device{}()};
    std::array<char, 33> text{};
    std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(random()),
                  static_cast<unsigned long long>(random()));
    return text.data();
}

/// The last value of that name, without reading all of a large answer.
std::string last_text(const std::string& body, std::string_view name) {
    const std::string key = '"' + std::string{name} + R"(":")";
    const auto found = body.rfind(key);
    if (found == std::string::npos) throw std::runtime_error("an answer has no " + std::string{name});
    const auto begin = found + key.size();
    return body.substr(begin, body.find('"', begin) - begin);
}

int occurrences(std::string_view body, std::string_view text) {
    int count = 0;
    for (auto at = body.find(text); at != std::string_view::npos; at = body.find(text, at + text.size()))
        ++count;
    return count;
}

/// One client of one user.
struct device {
    http_client::header_lines headers;
    std::string client;
    std::string cursor{start_of_time};
};

/// One connection; its devices take turns on it.
class connection {
  public:
    connection(const options& given, int number) : given_{given}, number_{number}, http_{given.url} {
        http_client identity{given.identity};
        // Fewer users than connections: they are shared.
        for (int user = number % given.users; user < given.users; user += given.connections) {
            const auto token = identity.get("/token?user=" + given.name + '-' + std::to_string(user));
            if (token.status != 200) throw std::runtime_error("the identity service gives no token");
            const auto client = "client-" + std::to_string(number);
            devices_.push_back({{"Authorization: Bearer " + token.body, "X-Client-Id: " + client}, client});
        }
    }

    /// What has to be there before it starts; each device is at the end of the log then.
    void prepare() {
        for (auto& each : devices_) {
            if (given_.kind != "pull") {
                expect_done(push(each, 1));
            } else if (number_ < given_.users) {
                fill(each);
            }
        }
    }

    void measure(clock::time_point until, measured& into) {
        for (std::size_t turn = 0; clock::now() < until; ++turn) {
            auto& each = devices_[turn % devices_.size()];
            const auto body = body_of(each);
            const auto started = clock::now();
            const auto reply = send(each, body);
            const std::chrono::duration<double, std::milli> took = clock::now() - started;
            if (reply.status == 503) {
                ++into.refused;
                std::this_thread::sleep_for(std::chrono::milliseconds{10});
                continue;
            }
            if (given_.kind == "pull") {
                expect_page(reply);
            } else {
                expect_done(reply);
            }
            into.milliseconds.push_back(took.count());
        }
    }

  private:
    const options& given_;
    const int number_;
    http_client http_;
    std::vector<device> devices_;

    [[nodiscard]] std::string body_of(const device& from) const {
        if (given_.kind == "pull") return {};
        return body_of(from, given_.kind == "push1" ? 1 : large_push);
    }

    [[nodiscard]] static std::string body_of(const device& from, int count) {
        std::vector<std::string> changes;
        const auto now = sample_time();
        for (int i = 0; i < count; ++i) changes.push_back(sample_insert(random_hex(), now, i));
        return push_body(from.client, from.cursor, changes);
    }

    http_reply send(device& from, const std::string& body) {
        return given_.kind == "pull" ? pull(from) : push(from, body);
    }

    http_reply push(device& from, int count) { return push(from, body_of(from, count)); }

    http_reply push(device& from, const std::string& body) {
        auto reply = http_.post("/sync/" + given_.app, body, from.headers);
        if (reply.status == 200) from.cursor = last_text(reply.body, "syncedUntil");
        return reply;
    }

    http_reply pull(device& from) {
        return http_.get("/sync/" + given_.app + "/pull?collection=" + std::string{sample_table} +
                             "&since=" + std::string{start_of_time},
                         from.headers);
    }

    /// One full page for the user; nothing where it is there from before.
    void fill(device& user) {
        for (int held = 0; held <= page_rows; held += large_push) {
            const auto page = pull(user);
            if (page.status == 200 && occurrences(page.body, R"("eventId")") == page_rows) return;
            expect_done(push(user, large_push));
        }
        throw std::runtime_error("a user with a full page of records gets another page");
    }

    // An answer that says less than it should would be a fast one.

    static void expect_page(const http_reply& reply) {
        constexpr std::size_t least_bytes_a_change = 100;
        if (reply.status != 200 || reply.body.size() < least_bytes_a_change * page_rows)
            throw std::runtime_error("no full page, status " + std::to_string(reply.status) + ": " +
                                     reply.body.substr(0, 200));
    }

    void expect_done(const http_reply& reply) const {
        const auto has = [&](std::string_view text) { return reply.body.find(text) != std::string::npos; };
        const bool alone = given_.users >= given_.connections; // nothing to be told by others
        if (reply.status != 200 || !has(R"("conflicts":[])") || has(R"("rejected":)") ||
            (alone && !has(R"("serverChanges":[])")))
            throw std::runtime_error("a push was not answered as it should be, status " +
                                     std::to_string(reply.status) + ": " + reply.body.substr(0, 200));
    }
};

std::vector<measured> run_connections(const options& given, double& seconds) {
    std::vector<measured> results(static_cast<std::size_t>(given.connections));
    clock::time_point started;
    std::barrier go(given.connections, [&]() noexcept { started = clock::now(); });
    std::vector<std::thread> threads;
    for (int number = 0; number < given.connections; ++number)
        threads.emplace_back([&, number] {
            auto& into = results[static_cast<std::size_t>(number)];
            bool arrived = false;
            try {
                connection each{given, number};
                each.prepare();
                arrived = true;
                go.arrive_and_wait();
                each.measure(started + std::chrono::seconds{given.seconds}, into);
            } catch (const std::exception& failed) {
                into.failure = failed.what();
                if (!arrived) go.arrive_and_drop();
            }
        });
    for (auto& thread : threads) thread.join();
    seconds = std::chrono::duration<double>(clock::now() - started).count();
    return results;
}

double percentile(const std::vector<double>& sorted, double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

int report(const options& given) {
    double seconds = 0;
    std::vector<double> all;
    std::size_t refused = 0;
    for (const auto& result : run_connections(given, seconds)) {
        if (!result.failure.empty()) throw std::runtime_error(result.failure);
        all.insert(all.end(), result.milliseconds.begin(), result.milliseconds.end());
        refused += result.refused;
    }
    if (all.empty()) throw std::runtime_error("nothing was answered in time");
    std::ranges::sort(all);
    const double rate = static_cast<double>(all.size()) / seconds;
    const int changes = given.kind == "push1" ? 1 : given.kind == "push200" ? large_push : page_rows;
    std::printf("%s requests/s=%.1f changes/s=%.0f p50_ms=%.2f p99_ms=%.2f refused=%zu\n", given.kind.c_str(),
                rate, rate * changes, percentile(all, 0.50), percentile(all, 0.99), refused);
    return 0;
}

int run(int argc, char** argv) {
    options given;
    given.name = "load-" + random_hex().substr(0, 12);
    CLI::App app{"Load on mana-sync through nginx."};
    app.add_option("--url", given.url, "Where nginx listens")->required();
    app.add_option("--identity", given.identity, "Where GET /token?user=U gives tokens")->required();
    app.add_option("--kind", given.kind, "Pushes of 1 or 200 new records, or pages of 1,000 from the epoch")
        ->check(CLI::IsMember({"push1", "push200", "pull"}))
        ->capture_default_str();
    app.add_option("--connections", given.connections, "Requests under way at a time")
        ->check(CLI::Range(1, 256))
        ->capture_default_str();
    app.add_option("--seconds", given.seconds, "How long")->check(CLI::Range(1, 600))->capture_default_str();
    app.add_option("--users", given.users, "How many users (default: one a connection)")
        ->check(CLI::Range(1, 10'000));
    app.add_option("--name", given.name, "Users are called NAME-0, NAME-1, … (default: new ones)");
    CLI11_PARSE(app, argc, argv);
    if (given.users == 0) given.users = given.connections;
    try {
        return report(given);
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
