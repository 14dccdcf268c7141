// The safety net under Redis (SPEC §8): finds in the log of pushes what was committed and told by nobody,
// because a worker died between COMMIT and PUBLISH, Redis was away, or another program wrote; tells this
// hub's clients of it, and Redis as soon as it can be reached. It also takes up the rows that other programs
// wrote with plain SQL (SPEC §5).
//
// A thread of its own with a connection of its own, which looks every second. Each hub looks for itself; one
// of them at a time publishes. What may be much, to tell Redis and to take up rows, is done some at a time,
// so that none of its duties keeps the others waiting; nor does one that fails.
#pragma once

#include "shared/gate/user_gate.hpp"
#include "shared/runtime/log.hpp"
#include "shared/store/database.hpp"
#include "shared/store/push_log.hpp"
#include "shared/store/take_up.hpp"
#include "ws_hub/push_ledger.hpp"
#include "ws_hub/redis_catch_up.hpp"
#include "ws_hub/standby_watch.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mana::hub {

class metrics;

class log_sweep {
  public:
    static constexpr std::chrono::seconds interval{1};

    using pushes = std::vector<store::notification>;
    struct listener {
        /// On the io thread, once: pushes of the minute before the hub began, and of the time until its first
        /// look.
        std::function<void(const pushes& before)> was_away;
        /// On the io thread: pushes that may not have been told of.
        std::function<void(const pushes& found)> found;
        /// Any thread: whether Redis tells this hub of pushes at the moment.
        std::function<bool()> redis_up;
    };

    struct settings {
        store::postgres_settings postgres;
        std::string redis_url;
        gate::user_gate_settings gates; ///< whose rows are of which spaces
        store::push_terms terms;        ///< by which rows of others are merged
    };

    /// What is passed by reference outlives it.
    log_sweep(boost::asio::io_context& io, const settings& by, const push_ledger& ledger, metrics& counts);
    log_sweep(const log_sweep&) = delete;
    log_sweep& operator=(const log_sweep&) = delete;
    /// Stops and joins: within the time-outs of the connection.
    ~log_sweep();

    /// Once.
    void start(listener hears);
    /// Returns at once; nothing new is handed over after it. Any thread.
    void request_stop() noexcept;
    /// Whether Redis refused what it was told last, for the channels or the stream. Known only once there was
    /// something that it had not got. Any thread.
    [[nodiscard]] bool redis_refuses(store::told_place place) const noexcept { return redis_.refuses(place); }
    /// Whether PostgreSQL answered the last look. Any thread.
    [[nodiscard]] bool up() const noexcept { return up_; }
    /// Whether pushes wait for a synchronous standby in vain. Any thread.
    [[nodiscard]] bool standby_missing() const noexcept { return standby_.missing(); }
    /// For how long its thread has shown no sign of life. Waiting for PostgreSQL or a service ends within
    /// time-outs of seconds, so an outage of these is not silence. Any thread.
    [[nodiscard]] std::chrono::steady_clock::duration silence() const noexcept {
        return std::chrono::steady_clock::now() - last_sign_.load();
    }

  private:
    // Constant after start().
    boost::asio::io_context& io_;
    metrics& metrics_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    listener hears_;

    std::atomic<bool> up_ = false;
    std::atomic<std::chrono::steady_clock::time_point> last_sign_ = std::chrono::steady_clock::now();

    standby_watch standby_;

    std::mutex mutex_; // guards stopping_
    std::condition_variable stop_;
    bool stopping_ = false;

    // On the sweep's thread.
    store::database database_;
    redis_catch_up redis_;
    bool redis_was_up_ = false;
    bool rows_left_ = false; // more rows of others wait than one turn took up
    gate::user_gate users_;
    store::database users_database_; // asked while a transaction of the other one is open
    const store::push_terms terms_;
    store::waiting_place place_;
    std::string told_until_; // look up to which this hub's clients were told; empty: none yet
    std::string last_look_;
    unsigned rounds_ = 0;
    std::chrono::steady_clock::time_point next_look_{};
    runtime::log::limiter rows_failed_{std::chrono::minutes{1}};

    std::thread thread_; // last: it uses all above

    void run();
    void show_life() noexcept { last_sign_ = std::chrono::steady_clock::now(); }
    bool pause();
    bool stopping();
    using duty = void (log_sweep::*)(store::connection& on);
    /// Empty: it went well.
    std::string attempt(duty what);
    void sweep();
    void look(store::connection& on);
    void begin(store::connection& on);
    void tell_clients(store::connection& on);
    void tell_redis(store::connection& on, const std::string& look);
    void tell_place(store::connection& on, store::told_place place, const std::string& look);
    void take_up_rows(store::connection& on);
    void hand_over(const std::function<void(const pushes&)>& to, pushes some);
};

} // namespace mana::hub
