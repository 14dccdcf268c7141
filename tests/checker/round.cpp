#include "tests/checker/round.hpp"

#include "tests/checker/journal.hpp"
#include "tests/checker/outside.hpp"
#include "tests/checker/run.hpp"
#include "tests/checker/verdict.hpp"
#include "tests/end_to_end/environment.hpp"

#include <exception>
#include <limits>
#include <thread>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

/// Longer than a row is held for who inserted its record, where nothing is known of the clock.
constexpr auto holds_last = 63s;

std::string number(std::size_t value) {
    return std::to_string(value);
}

milliseconds since(steady_clock::time_point began) {
    return std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
}

/// Carries the plan out while faults strike.
void carry_out(run& devices, fault_schedule* faults, int threads) {
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

/// A push after the last fault, should none have come since.
void await_recovery(run& devices, int user, const recovery& after) {
    if (!after.pending()) return;
    const auto probe = devices.make_guest(user, "u" + std::to_string(user) + "probe");
    probe.store->push();
}

using lines = std::vector<std::string>;

void tell_work(const journal& book, const run& devices, const link_means& means, milliseconds took,
               lines& to) {
    const auto sent = book.count();
    const auto a_minute = took.count() > 0 ? static_cast<std::size_t>(devices.made()) * 60'000 /
                                                 static_cast<std::size_t>(took.count())
                                           : 0;
    to.push_back("changes    " + std::to_string(devices.made()) + " made in " + std::to_string(took.count()) +
                 " ms (" + number(a_minute) + " a minute), " + number(sent.changes) + " pushed with " +
                 number(sent.claims) + " claims, " + number(sent.acknowledged) + " acknowledged, " +
                 number(sent.rejected) + " rejected");
    to.push_back("sendings   " + number(sent.sendings) + " of changes; " + number(means.retries) +
                 " requests retried, " + std::to_string(devices.counted().duplicates) +
                 " sent twice at once, " + std::to_string(devices.counted().lost_answers) +
                 " answers lost, " + std::to_string(devices.counted().wipes) + " devices wiped, " +
                 std::to_string(devices.counted().membership_changes) + " members came or left");
}

void tell_faults(const fault_schedule& faults, const recovery& after, lines& to) {
    std::string line = "faults    ";
    for (const auto& [kind, times] : faults.struck())
        line += ' ' + std::string(to_text(kind)) + ' ' + std::to_string(times);
    to.push_back(line);
    line = "recovery   the first push after the last fault succeeded " +
           std::to_string(after.last().count()) + " ms after it struck; the longest of each kind, in ms:";
    for (const auto& [kind, longest] : after.longest())
        line += ' ' + kind + ' ' + std::to_string(longest.count());
    to.push_back(line);
    line = "waiting    the longest push took " + std::to_string(after.longest_push().count()) +
           " ms, all tries together";
    const auto waited = after.longest_after_end();
    if (!waited.empty()) line += "; who waited for a fault's end was done after it, in ms:";
    for (const auto& [kind, longest] : waited) line += ' ' + kind + ' ' + std::to_string(longest.count());
    to.push_back(line);
}

void tell_told(const verdict& judged, lines& to) {
    const auto& all = judged.happened();
    const auto& told = judged.told();
    if (all.devices.empty())
        return to.push_back("told       nobody listened by WebSocket: the server is not on the loopback");
    const auto ms = [](milliseconds time) { return std::to_string(time.count()); };
    to.push_back("told       " + number(all.commits.size()) + " commits to " + number(all.devices.size()) +
                 " listeners, " + number(told.told) + " times (" + number(told.named) + " by name, " +
                 number(told.by_pulling) + " by a pull after they came back; " + number(told.cuts) +
                 " were cut off); after the answer: median " + ms(told.median) + ", p99 " +
                 ms(told.late_one) + ", longest " + ms(told.longest) +
                 " ms; longest counted from the parts' return: " + ms(told.longest_after_return) +
                 " ms; left out " + number(told.left_out));
}

/// Whatever happens to the server: a client hears that its request failed, and may ask again.
void count_hung(const link_means& means, outcome& to) {
    if (means.hung == 0) return;
    to.faults += means.hung;
    to.first_fault.push_back(number(means.hung) + " requests had no answer, nor an end without one, within " +
                             std::to_string(end_to_end::http_client::longest_wait.count()) + " ms");
}

/// A Redis that refused is tried again within half a minute.
void count_untold(database* kept, outcome& to) {
    constexpr auto longest = 45s;
    if (kept == nullptr || end_to_end::await([kept] { return kept->redis_has_all(); }, longest)) return;
    ++to.faults;
    to.first_fault.push_back("channels or stream of Redis still lack a push after " +
                             std::to_string(longest.count()) + " s");
}

} // namespace

server_parts::server_parts(const needs& of_parts)
    : own_(std::make_unique<processes>(of_parts)), url_(own_->url()),
      token_url_(end_to_end::required_environment("MANA_TEST_IDENTITY_URL")) {}

server_parts::server_parts(std::string url, std::string token_url)
    : url_(std::move(url)), token_url_(std::move(token_url)) {}

std::unique_ptr<database> server_parts::kept() const {
    return own_ != nullptr ? std::make_unique<database>(own_->superuser_url()) : nullptr;
}

outcome play(const plan& planned, const manner& how, const server_parts& server) {
    const auto prefix = end_to_end::fresh("check");
    journal book{server.clock()};
    recovery after;
    outage_log outages;
    link_means means{server.url(), prefix, 60s, book, after};
    outside services{server.token_url()};
    run devices{planned, means, services, prefix};
    std::unique_ptr<fault_schedule> faults;
    if (!how.faults.empty())
        faults = std::make_unique<fault_schedule>(how.faults, planned.size.seed, planned.changes,
                                                  *server.own(), after, outages);
    const auto began = steady_clock::now();
    carry_out(devices, faults.get(), how.threads);
    const auto took = since(began);
    await_recovery(devices, 0, after);
    devices.settle(how.threads);
    if (devices.any_is_held_back()) {
        if (const auto passing = server.kept())
            passing->let_holds_pass();
        else
            std::this_thread::sleep_for(holds_last);
        devices.settle_held(how.threads);
    }

    const auto kept = server.kept();
    verdict judged{devices, services, book, kept.get(), prefix};
    judged.judge();
    judged.judge_told(outages.all());
    outcome found{judged.faults(), judged.faulty(), {}, judged.lines()};
    count_hung(means, found);
    count_untold(kept.get(), found);
    tell_work(book, devices, means, took, found.counts);
    if (faults != nullptr) tell_faults(*faults, after, found.counts);
    found.counts.push_back("compared   " + number(judged.comparisons()) + " times, with " +
                           number(judged.log_rows()) + " rows of the log; the followers were told the last " +
                           std::to_string(judged.followers_after().count()) +
                           " ms after the devices had settled; all of it took " +
                           std::to_string(since(began).count()) + " ms");
    tell_told(judged, found.counts);
    return found;
}

} // namespace mana::checker
