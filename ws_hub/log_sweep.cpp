#include "ws_hub/log_sweep.hpp"

#include "shared/store/standby.hpp"
#include "ws_hub/metrics.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstddef>
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
// What is left after so long waits for the next round.
constexpr auto redis_told_for = 1s; // each place
constexpr auto rows_taken_up_for = 300ms;
constexpr std::ptrdiff_t handed_over_at_once = 1'000; // the io thread serves others in between

} // namespace

log_sweep::log_sweep(boost::asio::io_context& io, const settings& by, const push_ledger& ledger,
                     metrics& counts)
    : io_(io), metrics_(counts),
      database_(by.postgres,
                {store::push_log_statements(), store::push_statements(), store::standby_statements()}),
      redis_(by.redis_url, ledger, counts), users_(by.gates),
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
    do sweep();
    while (!pause());
}

std::string log_sweep::attempt(duty what) {
    show_life();
    try {
        database_.run(std::chrono::steady_clock::now() + patience,
                      [&](store::connection& on) { (this->*what)(on); });
        return {};
    } catch (const std::exception& failed) {
        metrics_.sweep_failed();
        return failed.what();
    }
}

bool log_sweep::stopping() {
    const std::lock_guard lock{mutex_};
    return stopping_;
}

/// True: it is time to stop. While rows are left, only the looks are a second apart.
bool log_sweep::pause() {
    std::unique_lock lock{mutex_};
    const auto until = rows_left_ ? std::chrono::steady_clock::now() : next_look_;
    return stop_.wait_until(lock, until, [this] { return stopping_; });
}

void log_sweep::sweep() {
    std::string failure;
    if (std::chrono::steady_clock::now() >= next_look_) {
        next_look_ = std::chrono::steady_clock::now() + interval;
        failure = attempt(&log_sweep::look);
    }
    if (failure.empty() && !up_.exchange(true)) log::info("postgres_up");
    if (!failure.empty() && up_.exchange(false)) log::warn("postgres_down", {{"reason", failure}});
    rows_left_ = false;
    if (told_until_.empty() || stopping()) return;
    const auto of_rows = attempt(&log_sweep::take_up_rows);
    const auto now = std::chrono::steady_clock::now();
    if (of_rows.empty() || !up_) return;
    if (const auto suppressed = rows_failed_.admit(now))
        log::warn("rows_not_taken_up", {{"reason", of_rows}, {"suppressed", *suppressed}});
}

void log_sweep::look(store::connection& on) {
    standby_.look(on, std::chrono::steady_clock::now() + patience);
    if (told_until_.empty()) return begin(on);
    tell_clients(on);
    if (++rounds_ % rounds_between_clean_ups == 0) store::forget_pushes(on, patience);
}

void log_sweep::begin(store::connection& on) {
    const std::string look = store::look_now(on, patience);
    // Clients that came while PostgreSQL was away may have pulled through workers that were not cut off.
    const auto served = std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
    hand_over(hears_.was_away, store::pushes_of_last(on, away_at_most + served, missed_at_most, patience));
    told_until_ = last_look_ = look;
}

/// What the look before this one saw was committed a second ago: its worker has told Redis by now if it ever
/// will. Clients need not wait for that while Redis tells of nothing.
void log_sweep::tell_clients(store::connection& on) {
    const std::string now = store::look_now(on, patience);
    const std::string a_second_ago = std::exchange(last_look_, now);
    const std::string look = hears_.redis_up() ? a_second_ago : now;
    store::pushes_between(
        on, told_until_, look, [this](const pushes& some) { hand_over(hears_.found, some); }, patience);
    told_until_ = look;
    tell_redis(on, a_second_ago);
}

void log_sweep::tell_redis(store::connection& on, const std::string& look) {
    const bool up = hears_.redis_up();
    if (up && !redis_was_up_) redis_.try_at_once();
    redis_was_up_ = up;
    tell_place(on, store::told_place::stream, look);
    tell_place(on, store::told_place::channels, look);
    metrics_.swept(store::oldest_untold(on, patience).longest());
}

void log_sweep::tell_place(store::connection& on, store::told_place place, const std::string& look) {
    const auto until = std::chrono::steady_clock::now() + redis_told_for;
    bool all = true;
    const auto go_on = [this, until] {
        show_life();
        return !stopping() && std::chrono::steady_clock::now() < until;
    };
    const auto tell = [&](const pushes& some) {
        const auto told = redis_.tell(place, some, go_on);
        all = all && told == some.size();
        return told;
    };
    if (store::tell_until(on, place, look, tell, patience) && all) redis_.complete(place);
}

/// What is taken up is announced like any push, and told from there.
void log_sweep::take_up_rows(store::connection& on) {
    const auto spaces_of = [this](const std::string& user) {
        show_life();
        return users_.spaces_of(user, users_database_, std::chrono::steady_clock::now() + patience);
    };
    const auto enough = std::chrono::steady_clock::now() + rows_taken_up_for;
    for (bool more = true; more && !stopping();) {
        show_life();
        const auto done = store::take_up_rows(on, place_, terms_, spaces_of, patience, enough);
        metrics_.taken_up(done.rows, done.skipped, done.lost, done.capped);
        more = done.more && std::chrono::steady_clock::now() < enough;
        rows_left_ = done.more;
    }
}

void log_sweep::hand_over(const std::function<void(const pushes&)>& to, pushes some) {
    for (auto next = some.begin(); next != some.end();) {
        const auto end = next + std::min<std::ptrdiff_t>(some.end() - next, handed_over_at_once);
        pushes part(std::make_move_iterator(next), std::make_move_iterator(end));
        boost::asio::post(io_, [&to, part = std::move(part)] { to(part); });
        next = end;
    }
}

} // namespace mana::hub
