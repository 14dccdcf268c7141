// Load on the hub through nginx, as browsers make it: connections that idle, pushes and when they are told,
// frames, and a hub that is killed. One thread, so that it leaves the processors to those who are measured.
//
// Prints a line for each measurement: its name, then name=value. At the line "restart-hub" whoever reads them
// is to kill the hub and start it again.
#include "tests/bench/hub_fleet.hpp"
#include "tests/bench/hub_frames.hpp"
#include "tests/bench/hub_processes.hpp"
#include "tests/bench/hub_pushes.hpp"
#include "tests/bench/hub_wire.hpp"
#include "tests/end_to_end/http_client.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::bench {
namespace {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;
using std::chrono::seconds;
using namespace std::chrono_literals;

constexpr auto connect_within = 180s;
constexpr auto settle = 2s;
constexpr auto answer_within = 60s;
constexpr auto told_within = 15s;
constexpr auto back_within = 120s;
constexpr std::size_t other_descriptors = 200;
constexpr std::size_t round_trips = 2'000;
constexpr double restart_rate = 100;
constexpr std::size_t restart_pushes = 500;
constexpr std::string_view app = "bench";
constexpr std::string_view restart_app = "bench-restart"; // so that nothing from before is taken for it
constexpr std::string_view user_prefix = "hub-bench";

struct options {
    unsigned short port = 0;
    std::string identity;
    std::string redis;
    std::string run_dir;
    std::size_t connections = 18'000;
    std::size_t handshakes = 200;
    int idle_seconds = 60;
    int seconds = 20;
    double slow_rate = 50;
    double rate = 500;
    double frames = 20'000;
};

double seconds_since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

double percentile(const std::vector<double>& sorted, double share) {
    if (sorted.empty()) return NAN;
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
}

/// One line of output, under way.
class line {
  public:
    explicit line(std::string_view name) { text_ << name; }
    line& add(std::string_view name, double value, int digits) {
        std::snprintf(number_, sizeof number_, "%.*f", digits, value);
        text_ << ' ' << name << '=' << number_;
        return *this;
    }
    line& add(std::string_view name, std::size_t value) {
        text_ << ' ' << name << '=' << value;
        return *this;
    }
    line& add_latencies(const std::vector<double>& sorted, const std::string& prefix = "") {
        add(prefix + "p50_ms", percentile(sorted, 0.50), 2)
            .add(prefix + "p99_ms", percentile(sorted, 0.99), 2);
        return add(prefix + "max_ms", percentile(sorted, 1), 2);
    }
    void print() const {
        std::printf("%s\n", text_.str().c_str());
        std::fflush(stdout); // somebody waits for it
    }

  private:
    std::ostringstream text_;
    char number_[64] = {};
};

/// What the parts take from here on.
class cpu_watch {
  public:
    explicit cpu_watch(const stack_processes& stack) : stack_(stack), before_(stack.cpu()) {}

    /// A line of its own, in per cent of one processor.
    void print(std::string_view name) const {
        const auto after = stack_.cpu();
        const double span = seconds_since(started_);
        line shares{name};
        double others = after.all - before_.all;
        for (const auto& [part, taken] : after.of) {
            const double used = taken - before_.of.at(part);
            others -= used;
            shares.add(part, 100 * used / span, 1);
        }
        shares.add("others", std::max(0.0, 100 * others / span), 1).print();
    }

    [[nodiscard]] double seconds_of(const std::string& part) const {
        return stack_.cpu().of.at(part) - before_.of.at(part);
    }

  private:
    const stack_processes& stack_;
    const cpu_times before_;
    const clock::time_point started_ = clock::now();
};

std::vector<std::string> fetch_tokens(const options& given) {
    end_to_end::http_client identity{given.identity};
    const auto users = given.connections / devices_per_user;
    const auto reply =
        identity.get("/tokens?prefix=" + std::string{user_prefix} + "&count=" + std::to_string(users));
    std::istringstream lines{reply.body};
    std::vector<std::string> tokens;
    for (std::string token; std::getline(lines, token);) tokens.push_back(token);
    if (reply.status != 200 || tokens.size() != users)
        throw std::runtime_error("the identity service gives no tokens");
    return tokens;
}

class hub_load {
  public:
    explicit hub_load(const options& given)
        : given_(given), stack_(given.run_dir), tokens_(fetch_tokens(given)),
          server_(asio::ip::address_v4::loopback(), given.port), fleet_(io_, server_, tokens_) {}

    /// False where something was lost.
    bool run() {
        connect();
        idle();
        line{"redis"}.add_latencies(redis_round_trips(given_.redis, round_trips)).print();
        push("slow-pushes", given_.slow_rate);
        push("pushes", given_.rate);
        frames();
        restart();
        return whole_;
    }

  private:
    const options& given_;
    const stack_processes stack_;
    const std::vector<std::string> tokens_;
    const asio::ip::tcp::endpoint server_;
    asio::io_context io_{1};
    const asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    fleet fleet_;
    double hub_before_ = 0; // its memory without connections
    bool whole_ = true;

    /// Lets things happen until `done` or `limit`; returns whether it was done.
    template<class Condition>
    bool run_until(clock::time_point limit, Condition done) {
        while (!done())
            if (io_.run_one_until(limit) == 0) return done();
        return true;
    }

    void run_for(clock::duration span) {
        run_until(clock::now() + span, [] { return false; });
    }

    /// Connections that end while nothing has happened to the hub are a fault.
    void expect_no_losses(const char* during) {
        const auto losses = fleet_.take_losses();
        if (losses.cut > 0) fail(during, std::to_string(losses.cut) + " connections were cut", losses);
    }

    void fail(const char* during, const std::string& what, const fleet_losses& losses = {}) {
        whole_ = false;
        std::fprintf(stderr, "hub_load: %s: %s\n", during, what.c_str());
        for (const auto& [reason, count] : losses.reasons)
            std::fprintf(stderr, "hub_load:   %zu × %s\n", count, reason.c_str());
    }

    [[nodiscard]] double hub_bytes_each() const {
        return (stack_.resident("hub") - hub_before_) / static_cast<double>(fleet_.size());
    }

    void connect() {
        hub_before_ = stack_.resident("hub");
        const double nginx = stack_.proportional("nginx");
        const double kernel = kernel_memory();
        const cpu_watch watch{stack_};
        const auto started = clock::now();
        fleet_.open_all(given_.handshakes);
        const bool all =
            run_until(started + connect_within, [this] { return fleet_.open() == fleet_.size(); });
        const double took = seconds_since(started);
        const auto losses = fleet_.take_losses();
        if (!all || losses.failed > 0) fail("connect", "some handshakes failed", losses);
        if (!all) throw std::runtime_error("only " + std::to_string(fleet_.open()) + " connections are open");
        const auto count = static_cast<double>(fleet_.size());
        line{"connect"}
            .add("connections", fleet_.size())
            .add("seconds", took, 2)
            .add("rate", count / took, 0)
            .print();
        watch.print("connect-cpu");
        run_for(settle);
        line{"memory"}
            .add("hub", hub_bytes_each(), 0)
            .add("nginx", (stack_.proportional("nginx") - nginx) / count, 0)
            .add("kernel", (kernel_memory() - kernel) / count, 0)
            .print();
    }

    void idle() {
        const cpu_watch watch{stack_};
        const auto started = clock::now();
        run_for(seconds{given_.idle_seconds});
        const double each = seconds_since(started) * static_cast<double>(fleet_.size());
        line{"idle"}
            .add("seconds", seconds_since(started), 0)
            .add("hub_us", 1e6 * watch.seconds_of("hub") / each, 2)
            .add("nginx_us", 1e6 * watch.seconds_of("nginx") / each, 2)
            .print();
        watch.print("idle-cpu");
        expect_no_losses("idle");
    }

    void push(const char* name, double rate) {
        const auto count = static_cast<std::size_t>(rate * given_.seconds);
        push_run pushes{io_, server_, {.app = std::string{app}, .rate = rate, .count = count}, tokens_};
        fleet_.listen([&pushes](std::size_t number, std::string_view told) { pushes.hear(number, told); });
        const cpu_watch watch{stack_};
        pushes.start();
        const bool answered = run_until(clock::now() + seconds{given_.seconds} + answer_within,
                                        [&pushes] { return pushes.answered(); });
        watch.print(std::string{name} + "-cpu");
        if (!answered) throw std::runtime_error("pushes were not answered");
        run_until(clock::now() + told_within, [&pushes] { return pushes.done(); });
        fleet_.listen({});
        report(name, pushes.figures());
        expect_no_losses(name);
    }

    void report(const char* name, const push_figures& seen) {
        line{name}
            .add("rate", static_cast<double>(seen.answered) / seen.seconds, 1)
            .add_latencies(seen.after_answer)
            .add_latencies(seen.after_sending, "sent_")
            .add("untold", seen.untold)
            .add("refused", seen.refused)
            .print();
        if (seen.untold > 0) fail(name, std::to_string(seen.untold) + " notifications never came");
        if (!seen.failure.empty()) fail(name, "a push was answered with " + seen.failure);
    }

    void frames() {
        const double rate = given_.frames / devices_per_user;
        const auto count = static_cast<std::size_t>(rate * given_.seconds);
        const auto wanted = count * devices_per_user;
        frame_run flood{io_, given_.redis, std::string{user_prefix}, tokens_.size(), rate, count};
        fleet_.listen([&flood](std::size_t, std::string_view told) { flood.hear(told); });
        const cpu_watch watch{stack_};
        flood.start();
        run_until(clock::now() + seconds{given_.seconds} + told_within,
                  [&flood, wanted] { return flood.published() && flood.frames() >= wanted; });
        fleet_.listen({});
        line{"frames"}
            .add("asked", given_.frames, 0)
            .add("published", devices_per_user * static_cast<double>(count) / flood.publish_seconds(), 0)
            .add("rate", static_cast<double>(flood.frames()) / flood.frame_seconds(), 0)
            .add("hub_us", 1e6 * watch.seconds_of("hub") / static_cast<double>(flood.frames()), 2)
            .add("lost", wanted - std::min(flood.frames(), wanted))
            .print();
        watch.print("frames-cpu");
        line{"memory-after"}.add("hub", hub_bytes_each(), 0).print();
        if (flood.frames() < wanted) fail("frames", std::to_string(wanted - flood.frames()) + " never came");
        expect_no_losses("frames");
    }

    void restart() {
        push_run pushes{io_,
                        server_,
                        {.app = std::string{restart_app},
                         .rate = restart_rate,
                         .count = std::min(restart_pushes, tokens_.size() / 2),
                         .from_a_third_client = true},
                        tokens_};
        fleet_.listen([&pushes](std::size_t number, std::string_view told) { pushes.hear(number, told); });
        std::optional<double> back;
        std::optional<double> told;
        const auto killed = clock::now();
        line{"restart-hub"}.print();
        if (!run_until(killed + 10s, [this] { return fleet_.losses().cut > 0; }))
            throw std::runtime_error("nobody has killed the hub");
        pushes.start();
        run_until(killed + back_within, [&] {
            const bool all = fleet_.losses().cut >= fleet_.size() && fleet_.open() == fleet_.size();
            if (!back && all) back = seconds_since(killed);
            if (!told && pushes.done()) told = seconds_since(killed);
            // A hub that forgets is not waited for as long as one that is still at it.
            return back && (told || seconds_since(killed) >
                                        *back + std::chrono::duration<double>(told_within).count());
        });
        fleet_.listen({});
        report_restart(back, told, pushes.figures());
    }

    void report_restart(std::optional<double> back, std::optional<double> told, const push_figures& seen) {
        const auto losses = fleet_.take_losses();
        line{"restart"}
            .add("back_s", back.value_or(NAN), 1)
            .add("told_s", told.value_or(NAN), 1)
            .add("pushes", seen.answered)
            .add("untold", seen.untold)
            .add("failed_handshakes", losses.failed)
            .print();
        if (!back) fail("restart", std::to_string(fleet_.open()) + " connections came back", losses);
        if (seen.untold > 0) fail("restart", std::to_string(seen.untold) + " connections were never told");
        if (!seen.failure.empty()) fail("restart", "a push was answered with " + seen.failure);
    }
};

void check_limits(const options& given) {
    const auto ports = ephemeral_ports() * source_addresses;
    if (given.connections > ports)
        throw std::runtime_error("there are ports for " + std::to_string(ports) +
                                 " connections (net.ipv4.ip_local_port_range)");
    const auto descriptors = raise_descriptor_limit();
    if (given.connections + other_descriptors > descriptors)
        throw std::runtime_error("a process may have " + std::to_string(descriptors) +
                                 " descriptors (ulimit -Hn): too few for " +
                                 std::to_string(given.connections) + " connections");
}

void add_options(CLI::App& program, options& given) {
    program.add_option("--port", given.port, "Where nginx listens, on 127.0.0.1")->required();
    program.add_option("--identity", given.identity, "Where GET /tokens gives tokens")->required();
    program.add_option("--redis", given.redis, "The URL of Redis")->required();
    program.add_option("--run-dir", given.run_dir, "The folder with the pid files of the stack")->required();
    program.add_option("--connections", given.connections, "Two for each user")
        ->check(CLI::Range(200, 60'000));
    program.add_option("--handshakes", given.handshakes, "Under way at a time")->check(CLI::Range(1, 10'000));
    program.add_option("--idle", given.idle_seconds, "Seconds")->check(CLI::Range(1, 600));
    program.add_option("--seconds", given.seconds, "How long to push, and to write frames")
        ->check(CLI::Range(1, 600));
    program.add_option("--slow-rate", given.slow_rate, "Pushes a second, to compare with")
        ->check(CLI::Range(1.0, 10'000.0));
    program.add_option("--rate", given.rate, "Pushes a second")->check(CLI::Range(1.0, 10'000.0));
    program.add_option("--frames", given.frames, "Frames a second")->check(CLI::Range(2.0, 1e6));
    program.option_defaults()->always_capture_default();
}

int run(int argc, char** argv) {
    options given;
    CLI::App program{"Load on mana-sync's hub through nginx."};
    add_options(program, given);
    CLI11_PARSE(program, argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    try {
        given.connections -= given.connections % devices_per_user;
        check_limits(given);
        return hub_load{given}.run() ? 0 : 1;
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "hub_load: %s\n", failed.what());
        return 1;
    }
}

} // namespace
} // namespace mana::bench

int main(int argc, char** argv) {
    return mana::bench::run(argc, argv);
}
