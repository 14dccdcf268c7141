#include "tests/bench/hub_pushes.hpp"

#include "tests/bench/sample.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace mana::bench {
namespace {

using milliseconds = std::chrono::duration<double, std::milli>;
using seconds = std::chrono::duration<double>;

constexpr std::size_t connection_count = 32;
constexpr unsigned ok = 200;
constexpr unsigned unavailable = 503;

std::mt19937_64& random_source() {
    static std::mt19937_64 source{std::random_device{}()};
    return source;
}

std::string random_id() {
    return std::to_string(random_source()());
}

} // namespace

push_run::push_run(boost::asio::io_context& io, const boost::asio::ip::tcp::endpoint& server, push_plan plan,
                   const std::vector<std::string>& tokens)
    : plan_(std::move(plan)), tokens_(tokens), timer_(io), order_(tokens.size()), users_(tokens.size()) {
    for (std::size_t i = 0; i < connection_count; ++i) {
        connections_.emplace_back(io, server);
        idle_.push_back(i);
    }
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    std::ranges::shuffle(order_, random_source());
}

void push_run::start() {
    started_ = last_answer_ = clock::now();
    wait_for_next();
}

void push_run::wait_for_next() {
    if (due_ == plan_.count) return;
    const seconds after{static_cast<double>(due_) / plan_.rate};
    timer_.expires_at(started_ + std::chrono::duration_cast<clock::duration>(after));
    timer_.async_wait([this](boost::system::error_code cancelled) {
        if (cancelled) return;
        ++due_;
        send_due();
        wait_for_next();
    });
}

void push_run::send_due() {
    while (sent_ < due_ && !idle_.empty()) {
        ++sent_;
        const auto through = idle_.back();
        idle_.pop_back();
        send(next_user(), through);
    }
}

std::size_t push_run::next_user() {
    // With more pushes under way than users, which no plan has, this would not end.
    for (std::size_t turn = sent_;; ++turn)
        if (const auto user = order_[turn % order_.size()]; !users_[user].sent) return user;
}

void push_run::send(std::size_t user, std::size_t through) {
    const auto device =
        plan_.from_a_third_client ? devices_per_user : random_source()() % (devices_per_user + 1);
    auto& state = users_[user];
    state = {};
    state.sent = clock::now();
    for (std::size_t each = 0; each < devices_per_user; ++each) {
        state.ears[each].expects = each != device;
        if (each != device) ++untold_;
    }
    connections_[through].send(request_of(user, device),
                               [this, user, through](unsigned status, const std::string& text) {
                                   idle_.push_back(through);
                                   take_answer(user, status, text);
                                   send_due();
                               });
}

push_request push_run::request_of(std::size_t user, std::size_t device) const {
    const auto now = sample_time();
    const auto client = device_name(device);
    return {.app = plan_.app,
            .token = tokens_[user],
            .client = client,
            .body = push_body(client, now, {sample_insert(random_id(), now, 1)})};
}

void push_run::take_answer(std::size_t user, unsigned status, const std::string& text) {
    auto& state = users_[user];
    last_answer_ = clock::now();
    ++answered_;
    if (status == ok) {
        ++figures_.answered;
        state.answered = last_answer_;
        return finish(state);
    }
    if (status == unavailable) {
        ++figures_.refused;
    } else if (figures_.failure.empty()) {
        figures_.failure = std::to_string(status) + ' ' + text.substr(0, 200);
    }
    for (const auto& each : state.ears)
        if (each.expects && !each.told) --untold_;
    state = {};
}

void push_run::hear(std::size_t number, std::string_view app) {
    auto& state = users_[number / devices_per_user];
    auto& told = state.ears[number % devices_per_user];
    if (app != plan_.app || !told.expects || told.told) return;
    told.told = clock::now();
    --untold_;
    if (state.answered) finish(state);
}

/// Makes the user free for the next push once all have been told.
void push_run::finish(user_state& state) {
    for (const auto& each : state.ears)
        if (each.expects && !each.told) return;
    for (const auto& each : state.ears) {
        if (!each.expects) continue;
        const milliseconds later = *each.told - *state.answered;
        figures_.after_answer.push_back(std::max(later.count(), 0.0));
        figures_.after_sending.push_back(milliseconds{*each.told - *state.sent}.count());
    }
    state = {};
}

push_figures push_run::figures() const {
    auto all = figures_;
    all.seconds = seconds(last_answer_ - started_).count();
    all.untold = untold_;
    std::ranges::sort(all.after_answer);
    std::ranges::sort(all.after_sending);
    return all;
}

} // namespace mana::bench
