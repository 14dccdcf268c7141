#include "ws_hub/redis_catch_up.hpp"

#include "shared/runtime/log.hpp"
#include "ws_hub/metrics.hpp"

#include <algorithm>
#include <charconv>

namespace mana::hub {
namespace {

namespace log = runtime::log;
using namespace std::chrono_literals;
using store::told_place;

constexpr std::size_t told_at_once = 200; // one round trip
constexpr std::size_t read_at_once = 1'000;
constexpr std::size_t known_at_most = 2 * store::stream_length;
constexpr auto clocks_differ_by =
    60s; // those of PostgreSQL and Redis, at most; else what is there may be told again
constexpr auto least_pause = 1s;

const char* name_of(told_place place) {
    return place == told_place::stream ? "stream" : "channels";
}

/// Cursors sort as strings.
const store::notification& oldest_of(const std::vector<store::notification>& pushes) {
    return *std::ranges::min_element(pushes, {}, &store::notification::cursor);
}

std::chrono::milliseconds::rep milliseconds_of(std::string_view id) {
    std::chrono::milliseconds::rep read = 0;
    std::from_chars(id.data(), id.data() + id.size(), read);
    return read;
}

} // namespace

redis_catch_up::redis_catch_up(const std::string& redis_url, const push_ledger& ledger, metrics& counts)
    : publisher_(redis_url), ledger_(ledger),
      metrics_(counts), places_{place_state{known_at_most}, place_state{known_at_most}} {}

std::size_t redis_catch_up::tell(told_place place, const std::vector<store::notification>& pushes,
                                 const std::function<bool()>& go_on) {
    const auto is_there = [this, place](const store::notification& push) { return has(place, push); };
    if (std::ranges::all_of(pushes, is_there)) return pushes.size();
    if (clock::now() < of(place).next_try || !go_on() || !reach(place)) return 0;
    const auto from = key_of(oldest_of(pushes)).newest - clocks_differ_by;
    of(place).told.forget_before(from);
    if (place == told_place::stream && !read_stream(from, go_on)) return 0;
    auto next = pushes.begin();
    while ((next = std::find_if_not(next, pushes.end(), is_there)) != pushes.end() && go_on()) {
        std::vector<store::notification> some;
        const std::size_t most = of(place).failing ? 1 : told_at_once;
        for (auto push = next; push != pushes.end() && some.size() < most; ++push)
            if (!is_there(*push)) some.push_back(*push);
        if (!tell_some(place, some)) break;
    }
    next = std::find_if_not(next, pushes.end(), is_there);
    return static_cast<std::size_t>(next - pushes.begin());
}

void redis_catch_up::complete(told_place place) {
    auto& at = of(place);
    if (at.failing.exchange(false)) log::info("redis_takes", {{"place", name_of(place)}});
    at.failure.clear();
    at.pause = 0s;
    at.next_try = {};
}

void redis_catch_up::try_at_once() {
    for (auto& at : places_) {
        at.next_try = {};
        at.pause = 0s;
    }
}

/// The ledger forgets after minutes: what the channels told meanwhile and is still not complete may be told
/// once more.
bool redis_catch_up::has(told_place place, const store::notification& push) const {
    return of(place).told.has(push) || (place == told_place::channels && ledger_.heard_from_redis(push));
}

bool redis_catch_up::reach(told_place place) {
    const auto reached = publisher_.reach();
    return reached.failure.empty() || failed(place, reached);
}

/// False: not all could be read that is there.
bool redis_catch_up::read_stream(sync::position from, const std::function<bool()>& go_on) {
    begin_to_read(from);
    std::vector<store::notification> read;
    while (go_on()) {
        bool to_the_end = false;
        const auto done = publisher_.read_stream(last_read_, read_at_once, read, to_the_end);
        if (!done.failure.empty()) return failed(told_place::stream, done);
        for (const auto& push : read) of(told_place::stream).told.add(push);
        if (to_the_end) return true;
    }
    return false;
}

/// Goes on from the last entry, unless another Redis may answer now. What is older than the oldest push that
/// matters need not be read: ids begin with the time of Redis.
void redis_catch_up::begin_to_read(sync::position from) {
    if (read_over_ != publisher_.connection()) last_read_.clear();
    read_over_ = publisher_.connection();
    const auto least = std::chrono::floor<std::chrono::milliseconds>(from.time_since_epoch()).count();
    if (milliseconds_of(last_read_) < least || last_read_.empty())
        last_read_ = std::to_string(std::max(least, decltype(least){0}));
}

bool redis_catch_up::tell_some(told_place place, const std::vector<store::notification>& some) {
    std::vector<bool> taken;
    const auto done = publisher_.tell(place, some, taken);
    for (std::size_t at = 0; at < some.size(); ++at)
        if (taken[at]) of(place).told.add(some[at]);
    metrics_.published_late(place, static_cast<std::size_t>(std::ranges::count(taken, true)));
    if (!done.failure.empty()) return failed(place, done);
    if (of(place).failing) complete(place);
    return true;
}

/// False.
bool redis_catch_up::failed(told_place place, const store::publisher::outcome& why) {
    auto& at = of(place);
    // One that is away is tried as often as the publisher connects.
    if (why.refused) {
        at.pause = std::clamp<std::chrono::seconds>(2 * at.pause, least_pause, longest_pause);
        at.next_try = clock::now() + at.pause;
    }
    const bool is_new = !at.failing.exchange(true) || at.failure != why.failure;
    at.failure = why.failure;
    if (is_new) log::warn("redis_refuses", {{"place", name_of(place)}, {"reason", why.failure}});
    return false;
}

} // namespace mana::hub
