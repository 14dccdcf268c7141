#include "ws_hub/redis_feed.hpp"

#include "shared/runtime/log.hpp"
#include "shared/store/redis_standing.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstddef>
#include <hiredis/hiredis.h>
#include <iterator>
#include <poll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <utility>
#include <vector>

namespace mana::hub {
namespace {

namespace log = runtime::log;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr milliseconds connect_timeout = 1s;
constexpr milliseconds least_pause = 100ms;
constexpr milliseconds longest_pause = 2s;
constexpr auto silence = 5s; // after which Redis is asked for a sign of life, and twice which it is given up
constexpr auto between_looks = 5s;    // at what the server is
constexpr auto role_told_within = 2s; // a Redis that hangs for less is not given up
constexpr std::size_t inbox_limit = 100'000;
constexpr std::ptrdiff_t drained_at_once = 1'000;

int make_wake() {
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) throw std::system_error{errno, std::generic_category(), "eventfd"};
    return fd;
}

bool subscribe(redisContext& on) {
    for (unsigned number = 0; number < store::channel_count; ++number)
        if (!store::append_command(on, {"SUBSCRIBE", store::channel_name(number)})) return false;
    return store::flush_commands(on);
}

bool ping(redisContext& on) {
    return store::append_command(on, {"PING"}) && store::flush_commands(on);
}

} // namespace

redis_feed::redis_feed(boost::asio::io_context& io, store::redis_address where)
    : io_(io), where_(std::move(where)), wake_(make_wake()) {}

redis_feed::~redis_feed() {
    request_stop();
    if (thread_.joinable()) thread_.join();
}

void redis_feed::start(listener hears) {
    hears_ = std::move(hears);
    thread_ = std::thread{[this] { run(); }};
}

void redis_feed::request_stop() noexcept {
    stopping_ = true;
    eventfd_write(wake_.get(), 1); // cannot fail: the counter is far from full
}

void redis_feed::run() {
    milliseconds wait = least_pause;
    bool told_down = false;
    while (!stopping_) {
        const std::string reason = listen_until_lost();
        if (stopping_) break;
        const bool was_up = up_.exchange(false);
        if (was_up || !told_down) log::warn("redis_down", {{"reason", reason}});
        told_down = true;
        if (was_up) wait = least_pause;
        pause(wait);
        wait = std::min(2 * wait, longest_pause);
    }
    up_ = false;
}

std::string redis_feed::listen_until_lost() {
    const auto context = store::connect_redis(where_, connect_timeout);
    if (!context) return context.error();
    const auto beside = store::connect_redis(where_, connect_timeout);
    if (!beside) return beside.error();
    if (auto reason = not_to_be_heard(**beside)) return std::move(*reason);
    if (!subscribe(**context)) return store::lost_because(**context);
    return listen(**context, **beside);
}

std::string redis_feed::listen(redisContext& on, redisContext& beside) {
    bool asked = false;
    auto next_look = steady_clock::now() + between_looks;
    auto silent_at = steady_clock::now() + silence;
    while (!stopping_) {
        const auto reply = store::next_reply(on, std::min(silent_at, next_look), wake_.get());
        const auto now = steady_clock::now();
        if (reply) {
            asked = false;
            silent_at = now + silence;
            if (auto refusal = take(*reply)) return std::move(*refusal);
        }
        if (store::is_lost(on)) return store::lost_because(on);
        if (now >= next_look && !stopping_) {
            if (auto reason = not_to_be_heard(beside)) return std::move(*reason);
            next_look = steady_clock::now() + between_looks;
        }
        if (reply || now < silent_at) continue;
        if (asked) return "no answer to PING";
        if (!stopping_ && !ping(on)) return store::lost_because(on);
        asked = true;
        silent_at = now + silence;
    }
    return "stopped";
}

/// Why Redis is not to be listened to, or nothing. Who may not ask learns of a demotion only by what the
/// sweep is refused.
std::optional<std::string> redis_feed::not_to_be_heard(redisContext& beside) {
    switch (store::role_of(beside, steady_clock::now() + role_told_within, wake_.get())) {
    case store::redis_role::master:
        return std::nullopt;
    case store::redis_role::replica:
        return "it is a replica, not the master";
    case store::redis_role::silent:
        return store::is_lost(beside) ? store::lost_because(beside) : "no answer to ROLE";
    case store::redis_role::unknown:
        break;
    }
    if (role_unknown_.admit(steady_clock::now()))
        log::warn("redis_role_unknown", {{"reason", "the user may ask neither ROLE nor INFO"}});
    return std::nullopt;
}

std::optional<std::string> redis_feed::take(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_ERROR) return std::string{store::text_of(reply)};
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements == 0) return "an unexpected reply";
    const std::string_view kind = store::text_of(*reply.element[0]);
    if (kind == "message" && reply.elements == 3) take_payload(store::text_of(*reply.element[2]));
    const bool all =
        kind == "subscribe" && reply.elements == 3 && reply.element[2]->integer == store::channel_count;
    if (all && !up_.exchange(true)) log::info("redis_up");
    return std::nullopt;
}

void redis_feed::take_payload(std::string_view payload) {
    static log::limiter unreadable{10s};
    if (auto told = store::parse_notification(payload))
        return hand_over(std::move(*told));
    else if (const auto suppressed = unreadable.admit(steady_clock::now()))
        log::warn("notification_unreadable", {{"reason", told.error()}, {"suppressed", *suppressed}});
}

void redis_feed::hand_over(store::notification told) {
    std::unique_lock lock{mutex_};
    // With the io thread this far behind, Redis may drop us: it is told like any other loss of the
    // connection.
    while (inbox_.size() >= inbox_limit && !stopping_) drained_.wait_for(lock, 100ms);
    const bool first = inbox_.empty();
    inbox_.push_back(std::move(told));
    lock.unlock();
    if (first) boost::asio::post(io_, [this] { drain(); });
}

/// Some at a time: the io thread serves others in between.
void redis_feed::drain() {
    std::vector<store::notification> batch;
    std::unique_lock lock{mutex_};
    const auto end = inbox_.begin() + std::min<std::ptrdiff_t>(std::ssize(inbox_), drained_at_once);
    batch.assign(std::make_move_iterator(inbox_.begin()), std::make_move_iterator(end));
    inbox_.erase(inbox_.begin(), end);
    const bool more = !inbox_.empty();
    lock.unlock();
    drained_.notify_one();
    if (stopping_) return;
    for (const store::notification& each : batch) hears_(each);
    if (more) boost::asio::post(io_, [this] { drain(); });
}

void redis_feed::pause(milliseconds span) const {
    pollfd watched{wake_.get(), POLLIN, 0};
    poll(&watched, 1, static_cast<int>(span.count()));
}

} // namespace mana::hub
