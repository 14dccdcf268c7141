#include "ws_hub/log_sweep.hpp"

#include "shared/store/standby.hpp"
#include "ws_hub/metrics.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <exception>
#include <iterator>
#include <pthread.h>
#include <utility>

namespace mana::hub {
namespace {

namespace log = runtime::log;
using namespace std::chrono_literals;

constexpr auto patience = 3s; // for each answer of PostgreSQL
constexpr auto away_at_most = 60s;
constexpr int missed_at_most = 50'000;
constexpr unsigned rounds_between_clean_ups = 10;
constexpr std::size_t published_at_once = 200; // one round trip of the publisher

} // namespace

log_sweep::log_sweep(boost::asio::io_context& io, const settings& by, const push_ledger& ledger,
                     metrics& counts)
    : io_(io), ledger_(ledger), metrics_(counts),
      database_(by.postgres,
                {store::push_log_statements(), store::push_statements(), store::standby_statements()}),
      publisher_(by.redis_url), users_(by.gates),
      users_database_(by.postgres, {gate::user_gate::statements()}), terms_(by.terms) {}

log_sweep::~log_sweep() {
    request_stop();
    if (thread_.joinable()) thread_.join();
}

void log_sweep::start(listener hears) {
    hears_ = std::move(hears);
    thread_ = std::thread{[this] { run(); }};
}

void log_sweep::request_stop() noexcept {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    stop_.notify_one();
}

void log_sweep::run() {
    ::pthread_setname_np(::pthread_self(), "log_sweep"); // as top -H and debuggers show it
    do {
        show_life();
        try {
            sweep();
            if (!up_.exchange(true)) log::info("postgres_up");
        } catch (const std::exception& failed) {
            metrics_.sweep_failed();
            if (up_.exchange(false)) log::warn("postgres_down", {{"reason", failed.what()}});
        }
    } while (!pause());
}

bool log_sweep::stopping() {
    const std::lock_guard lock{mutex_};
    return stopping_;
}

/// True: it is time to stop.
bool log_sweep::pause() {
    std::unique_lock lock{mutex_};
    return stop_.wait_for(lock, interval, [this] { return stopping_; });
}

void log_sweep::sweep() {
    database_.run(std::chrono::steady_clock::now() + patience, [this](store::connection& on) {
        standby_.look(on, std::chrono::steady_clock::now() + patience);
        if (told_until_.empty()) return begin(on);
        take_up_rows(on);
        tell_clients(on);
        if (++rounds_ % rounds_between_clean_ups == 0) store::forget_pushes(on, patience);
    });
}

void log_sweep::begin(store::connection& on) {
    const std::string look = store::look_now(on, patience);
    // Clients that came while PostgreSQL was away may have pulled through workers that were not cut off.
    const auto served = std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
    hand_over(hears_.was_away, store::pushes_of_last(on, away_at_most + served, missed_at_most, patience));
    told_until_ = last_look_ = look;
}

/// What the look before this one saw was committed a second ago: Redis has told of it by now if it ever will.
/// While it tells of nothing, there is nothing to wait for.
void log_sweep::tell_clients(store::connection& on) {
    const std::string now = store::look_now(on, patience);
    const std::string look = hears_.redis_up() ? last_look_ : now;
    store::pushes_between(
        on, told_until_, look, [this](const pushes& some) { hand_over(hears_.found, some); }, patience);
    told_until_ = look;
    last_look_ = now;
    tell_redis(on, look);
}

void log_sweep::tell_redis(store::connection& on, const std::string& look) {
    store::publish_until(
        on, look, [this](const pushes& some) { return publish(some); }, patience);
    metrics_.swept(store::oldest_unpublished(on, patience));
}

bool log_sweep::publish(const pushes& some) {
    pushes unheard;
    std::ranges::copy_if(some, std::back_inserter(unheard),
                         [this](const store::notification& push) { return !ledger_.heard_from_redis(push); });
    for (std::size_t done = 0; done < unheard.size(); done += published_at_once) {
        if (stopping()) return false;
        show_life();
        const auto count = std::min(published_at_once, unheard.size() - done);
        if (!publisher_.publish(std::span{unheard}.subspan(done, count))) return false;
        metrics_.published_late(count);
    }
    return true;
}

/// What is taken up is announced like any push, and told from there.
void log_sweep::take_up_rows(store::connection& on) {
    const auto spaces_of = [this](const std::string& user) {
        show_life();
        return users_.spaces_of(user, users_database_, std::chrono::steady_clock::now() + patience);
    };
    for (bool more = true; more && !stopping();) {
        show_life();
        const auto done = store::take_up_rows(on, place_, terms_, spaces_of, patience);
        metrics_.taken_up(done.rows, done.skipped, done.lost, done.capped);
        more = done.more;
    }
}

void log_sweep::hand_over(const std::function<void(const pushes&)>& to, pushes some) {
    if (some.empty()) return;
    boost::asio::post(io_, [&to, some = std::move(some)] { to(some); });
}

} // namespace mana::hub
