// checker: many simulated devices at work at once, with faults; then all must hold the same. tests/README.md
// tells how to run it.
#include "tests/checker/faults.hpp"
#include "tests/checker/plan.hpp"
#include "tests/checker/round.hpp"
#include "tests/checker/selection.hpp"
#include "tests/checker/shrunk_story.hpp"
#include "tests/checker/soak.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <curl/curl.h>
#include <exception>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace mana::checker;

struct options {
    plan_size size;
    int threads = 8;
    std::string faults;
    int shrink = 120; ///< seconds
    std::string keep;
    int soak = 0; ///< minutes
    std::string url;
    std::string token_url;
};

void say(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

void say(const std::vector<std::string>& lines) {
    for (const auto& line : lines) say(line);
}

bool check_one(const plan& planned, const manner& how, const server_parts& server, const options& wanted) {
    const auto& size = planned.size;
    say("seed       " + std::to_string(size.seed) + ": " + std::to_string(planned.changes) + " changes, " +
        std::to_string(size.users) + " users with " + std::to_string(size.devices) +
        " devices and a program each, " + std::to_string(size.spaces) + " spaces, " +
        std::to_string(how.threads) + " threads" +
        (wanted.faults.empty() ? "" : ", faults " + wanted.faults));
    const auto found = play(planned, how, server);
    if (wanted.soak == 0 || found.faults > 0) say(found.counts);
    say(found.first_fault);
    if (found.faults > 0 && wanted.shrink > 0)
        say(tell_smallest(planned, found, how, server, std::chrono::seconds{wanted.shrink}));
    say(found.faults == 0 ? "verdict    all is equal, and as claimed"
                          : "verdict    " + std::to_string(found.faults) + " faults found; seed " +
                                std::to_string(size.seed));
    return found.faults == 0;
}

bool check_for_long(const options& wanted, const manner& how) {
    refuse_for_soak(how.faults);
    auto parts = needs_of(how.faults);
    parts.lasting_workers = true;
    const server_parts server{parts};
    const figures_source source{*server.own()};
    const auto round = [&](int which) {
        auto size = wanted.size;
        size.seed += static_cast<std::uint64_t>(which);
        return check_one(make_plan(size), how, server, wanted);
    };
    return soak({std::chrono::minutes{wanted.soak}, round, [&] { return source.take(); },
                 [](const std::string& line) { say(line); }});
}

bool check(const options& wanted) {
    const manner how{wanted.threads, parse_faults(wanted.faults)};
    if (wanted.soak > 0) return check_for_long(wanted, how);
    const auto server =
        wanted.url.empty() ? server_parts{needs_of(how.faults)} : server_parts{wanted.url, wanted.token_url};
    auto planned = make_plan(wanted.size);
    if (!wanted.keep.empty()) planned = selected(std::move(planned), wanted.keep);
    return check_one(planned, how, server, wanted);
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
    app.add_option("--shrink", wanted.shrink,
                   "After a failure, seconds to look for a smaller plan that fails too; 0: none")
        ->capture_default_str()
        ->check(CLI::Range(0, 3'600));
    auto* soak =
        app.add_option("--soak", wanted.soak,
                       "So many minutes of plans, one after the other, on the same parts: does any grow?")
            ->check(CLI::Range(1, 10'000));
    app.add_option("--keep", wanted.keep, "Only these steps of the plan: \"u0A:3,5-7 u1program:2 members:4\"")
        ->excludes(soak);
    auto* url = app.add_option("--url", wanted.url,
                               "Any server, without faults, in place of parts of the checker's own");
    auto* token_url =
        app.add_option("--token-url", wanted.token_url, "Where GET /token?user=U gives a token");
    url->needs(token_url);
    token_url->needs(url);
    url->excludes("--faults")->excludes(soak);
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
