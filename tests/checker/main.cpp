// checker: many simulated devices at work at once, with faults; then all must hold the same. tests/README.md
// tells how to run it.
#include "tests/checker/database.hpp"
#include "tests/checker/faults.hpp"
#include "tests/checker/journal.hpp"
#include "tests/checker/outside.hpp"
#include "tests/checker/parts/processes.hpp"
#include "tests/checker/plan.hpp"
#include "tests/checker/run.hpp"
#include "tests/checker/verdict.hpp"
#include "tests/end_to_end/environment.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <curl/curl.h>
#include <exception>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace mana::checker;
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct options {
    plan_size size;
    int threads = 8;
    std::string faults;
    std::string url;
    std::string token_url;
};

void say(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

std::string number(std::size_t value) {
    return std::to_string(value);
}

milliseconds since(steady_clock::time_point began) {
    return std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
}

/// The server that is checked: one's own parts, or somebody's.
struct server_parts {
    std::unique_ptr<processes> own;
    std::string url;
    std::string token_url;

    server_parts(const options& wanted, const std::vector<fault>& faults)
        : url{wanted.url}, token_url{wanted.token_url} {
        if (!url.empty()) return;
        own = std::make_unique<processes>(needs_of(faults));
        url = own->url();
        token_url = mana::end_to_end::required_environment("MANA_TEST_IDENTITY_URL");
    }
    /// Null where it is out of reach.
    [[nodiscard]] std::unique_ptr<database> kept() const {
        return own != nullptr ? std::make_unique<database>(own->superuser_url()) : nullptr;
    }
};

/// Carries the plan out while faults strike.
void act(run& devices, fault_schedule* faults, int threads) {
    std::exception_ptr failure;
    std::thread striker{[&] {
        if (faults == nullptr) return;
        try {
            faults->run({[&] { return devices.made(); }, [&] { return devices.over(); },
                         [&](int changes) { devices.limit(changes); }});
        } catch (const std::exception&) {
            failure = std::current_exception();
            devices.limit(std::numeric_limits<int>::max());
        }
    }};
    std::exception_ptr failed_run;
    try {
        devices.carry_out(threads);
    } catch (const std::exception&) {
        failed_run = std::current_exception();
    }
    striker.join();
    if (failure) std::rethrow_exception(failure);
    if (failed_run) std::rethrow_exception(failed_run);
}

void tell_counts(const journal& book, const run& devices, const link_means& means, milliseconds took) {
    const auto sent = book.count();
    const auto a_minute = took.count() > 0 ? static_cast<std::size_t>(devices.made()) * 60'000 /
                                                 static_cast<std::size_t>(took.count())
                                           : 0;
    say("changes    " + std::to_string(devices.made()) + " made in " + std::to_string(took.count()) +
        " ms (" + number(a_minute) + " a minute), " + number(sent.changes) + " pushed with " +
        number(sent.claims) + " claims, " + number(sent.acknowledged) + " acknowledged, " +
        number(sent.rejected) + " rejected");
    say("sendings   " + number(sent.sendings) + " of changes; " + number(means.retries) +
        " requests retried, " + std::to_string(devices.counted().duplicates) + " sent twice at once, " +
        std::to_string(devices.counted().lost_answers) + " answers lost, " +
        std::to_string(devices.counted().wipes) + " devices wiped, " +
        std::to_string(devices.counted().membership_changes) + " members came or left");
}

void tell_faults(const fault_schedule& faults, const recovery& after) {
    std::string line = "faults    ";
    for (const auto& [kind, times] : faults.struck())
        line += ' ' + std::string(to_text(kind)) + ' ' + std::to_string(times);
    say(line);
    line = "recovery   the first push after the last fault succeeded " +
           std::to_string(after.last().count()) + " ms after it struck; the longest of each kind, in ms:";
    for (const auto& [kind, longest] : after.longest())
        line += ' ' + kind + ' ' + std::to_string(longest.count());
    say(line);
}

/// A push after the last fault, should none have come since.
void await_recovery(run& devices, const recovery& after) {
    if (!after.pending()) return;
    const auto probe = devices.make_guest(0, "u0probe");
    probe.store->push();
}

bool check(const options& wanted) {
    const auto kinds = parse_faults(wanted.faults);
    const server_parts server{wanted, kinds};
    const auto planned = make_plan(wanted.size);
    say("seed       " + std::to_string(wanted.size.seed) + ": " + std::to_string(planned.changes) +
        " changes, " + std::to_string(wanted.size.users) + " users with " +
        std::to_string(wanted.size.devices) + " devices and a program each, " +
        std::to_string(wanted.size.spaces) + " spaces, " + std::to_string(wanted.threads) + " threads" +
        (wanted.faults.empty() ? "" : ", faults " + wanted.faults));

    const std::string prefix = mana::end_to_end::fresh("check");
    journal book{server.own != nullptr ? 2ms : 30s};
    recovery after;
    link_means means{server.url, prefix, 60s, book, after};
    outside services{server.token_url};
    run devices{planned, means, services, prefix};
    std::unique_ptr<fault_schedule> faults;
    if (!kinds.empty())
        faults =
            std::make_unique<fault_schedule>(kinds, wanted.size.seed, planned.changes, *server.own, after);
    const auto began = steady_clock::now();
    act(devices, faults.get(), wanted.threads);
    const auto took = since(began);
    await_recovery(devices, after);
    devices.settle(wanted.threads);

    const auto kept = server.kept();
    verdict judged{devices, services, book, kept.get(), prefix};
    judged.judge();
    tell_counts(book, devices, means, took);
    if (faults != nullptr) tell_faults(*faults, after);
    say("compared   " + number(judged.comparisons()) + " times, with " + number(judged.log_rows()) +
        " rows of the log; the followers were told the last " +
        std::to_string(judged.followers_after().count()) +
        " ms after the devices had settled; all of it took " + std::to_string(since(began).count()) + " ms");
    for (const auto& line : judged.lines()) say(line);
    say(judged.all_is_well() ? "verdict    all is equal, and as claimed"
                             : "verdict    " + number(judged.faults()) + " faults found; seed " +
                                   std::to_string(wanted.size.seed));
    return judged.all_is_well();
}

int read_options(int argc, char** argv, options& wanted) {
    CLI::App app{
        "Simulated devices of several users against a server of this protocol: at the end all must hold the "
        "same, and what their claims allow."};
    wanted.size.seed = std::random_device{}();
    app.add_option("--seed", wanted.size.seed,
                   "Of the plan and the faults (default: a random one, which is printed)");
    app.add_option("--changes", wanted.size.changes, "Changes of all devices together")
        ->capture_default_str();
    app.add_option("--users", wanted.size.users)->capture_default_str()->check(CLI::Range(1, 500));
    app.add_option("--devices", wanted.size.devices, "Of each user")
        ->capture_default_str()
        ->check(CLI::Range(1, 50));
    auto* spaces =
        app.add_option("--spaces", wanted.size.spaces, "Shared by users")->check(CLI::Range(0, 50));
    app.add_option("--threads", wanted.threads)->capture_default_str()->check(CLI::Range(1, 200));
    app.add_option("--faults", wanted.faults, "all, or some of " + names_of_faults() + "; commas between");
    auto* url = app.add_option("--url", wanted.url,
                               "Any server, without faults, in place of parts of the checker's own");
    auto* token_url =
        app.add_option("--token-url", wanted.token_url, "Where GET /token?user=U gives a token");
    url->needs(token_url);
    token_url->needs(url);
    url->excludes("--faults");
    CLI11_PARSE(app, argc, argv);
    // Who shares a space is not known there, unless one says so.
    if (!wanted.url.empty() && spaces->empty()) wanted.size.spaces = 0;
    return -1;
}

} // namespace

int main(int argc, char** argv) {
    options wanted;
    try {
        if (const int status = read_options(argc, argv, wanted); status >= 0) return status;
        curl_global_init(CURL_GLOBAL_DEFAULT);
        return check(wanted) ? 0 : 1;
    } catch (const std::exception& failed) {
        std::fprintf(stderr, "checker: seed %llu: %s\n", static_cast<unsigned long long>(wanted.size.seed),
                     failed.what());
        return 2;
    }
}
