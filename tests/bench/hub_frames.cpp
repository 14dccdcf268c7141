#include "tests/bench/hub_frames.hpp"

#include "shared/store/notification.hpp"
#include "shared/sync/cursor.hpp"
#include "tests/bench/sample.hpp"

#include <algorithm>
#include <hiredis/hiredis.h>
#include <stdexcept>
#include <utility>

namespace mana::bench {
namespace {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto redis_within = 5s;
constexpr auto tick_length = 2ms;
constexpr std::string_view app_prefix = "frames-";

store::redis_context connect(const std::string& url) {
    auto connected = store::connect_redis(store::parse_redis_url(url), redis_within);
    if (!connected) throw std::runtime_error("Redis: " + connected.error());
    return std::move(*connected);
}

void send(redisContext& on, std::initializer_list<std::string_view> words) {
    if (!store::append_command(on, words) || !store::flush_commands(on))
        throw std::runtime_error("Redis: " + store::lost_because(on));
}

void await_reply(redisContext& on) {
    const auto reply = store::next_reply(on, steady_clock::now() + redis_within);
    if (!reply || reply->type == REDIS_REPLY_ERROR) throw std::runtime_error("Redis did not answer");
}

double seconds_between(steady_clock::time_point from, steady_clock::time_point until) {
    return std::chrono::duration<double>(until - from).count();
}

} // namespace

frame_run::frame_run(boost::asio::io_context& io, const std::string& redis_url, std::string user_prefix,
                     std::size_t users, double rate, std::size_t count)
    : user_prefix_(std::move(user_prefix)), users_(users), rate_(rate), count_(count),
      redis_(connect(redis_url)), timer_(io) {}

void frame_run::start() {
    started_ = last_publish_ = last_frame_ = steady_clock::now();
    tick();
}

void frame_run::tick() {
    const auto now = steady_clock::now();
    const auto due = std::min(count_, static_cast<std::size_t>(rate_ * seconds_between(started_, now)) + 1);
    while (published_ < due) publish_next();
    if (!store::flush_commands(*redis_)) throw std::runtime_error("Redis: " + store::lost_because(*redis_));
    last_publish_ = now;
    take_replies();
    if (published()) return;
    timer_.expires_at(now + tick_length);
    timer_.async_wait([this](boost::system::error_code cancelled) {
        if (!cancelled) tick();
    });
}

void frame_run::publish_next() {
    const auto user = user_prefix_ + '-' + std::to_string(published_ % users_);
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    cursor_ = std::max(cursor_ + 1us, now);
    const store::notification told{.scope = "u:" + user,
                                   .user = user,
                                   .app = std::string{app_prefix} + std::to_string(published_),
                                   .tables = {std::string{sample_table}},
                                   .client = "tablet",
                                   .count = 1,
                                   .cursor = sync::to_text(sync::cursor{.at = cursor_}),
                                   .published_at = now};
    if (!store::append_command(*redis_, {"PUBLISH", store::channel_of(told.scope), store::to_json(told)}))
        throw std::runtime_error("Redis: " + store::lost_because(*redis_));
    ++published_;
    ++unanswered_;
}

void frame_run::take_replies() {
    while (unanswered_ > 0 && store::next_reply(*redis_, steady_clock::now())) --unanswered_;
    if (store::is_lost(*redis_)) throw std::runtime_error("Redis: " + store::lost_because(*redis_));
}

void frame_run::hear(std::string_view app) {
    if (!app.starts_with(app_prefix)) return;
    ++frames_;
    last_frame_ = steady_clock::now();
}

double frame_run::publish_seconds() const {
    return seconds_between(started_, last_publish_);
}

double frame_run::frame_seconds() const {
    return seconds_between(started_, last_frame_);
}

std::vector<double> redis_round_trips(const std::string& redis_url, std::size_t count) {
    constexpr std::string_view channel = "bench-round-trip";
    const auto listener = connect(redis_url);
    const auto speaker = connect(redis_url);
    send(*listener, {"SUBSCRIBE", channel});
    await_reply(*listener);
    std::vector<double> milliseconds;
    for (std::size_t i = 0; i < count; ++i) {
        const auto sent = steady_clock::now();
        send(*speaker, {"PUBLISH", channel, "x"});
        await_reply(*listener);
        milliseconds.push_back(1000 * seconds_between(sent, steady_clock::now()));
        await_reply(*speaker);
    }
    std::ranges::sort(milliseconds);
    return milliseconds;
}

} // namespace mana::bench
