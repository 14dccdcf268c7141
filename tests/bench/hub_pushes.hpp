// Pushes at a steady rate, whatever the answers take, and when those were told of them who should be.
#pragma once

#include "tests/bench/hub_fleet.hpp"
#include "tests/bench/hub_wire.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mana::bench {

struct push_plan {
    std::string app;
    double rate = 1; ///< a second
    std::size_t count = 0;
    bool from_a_third_client = false; ///< else one of the two that are connected pushes, or a third
};

/// Latencies are of each connection's notification, in milliseconds, sorted.
struct push_figures {
    std::vector<double> after_answer;  ///< 0: it came before
    std::vector<double> after_sending; ///< of the push
    std::size_t answered = 0;          ///< with 200
    std::size_t refused = 0;           ///< 503: overloaded
    std::string failure;               ///< how another one was answered
    double seconds = 0;                ///< from the first push to the last answer
    std::size_t untold = 0;            ///< connections that were not told yet
};

/// One run. Users take turns in an order of their own, and a user has one push under way at most: a
/// notification is thereby known to be that push's. Lives until all are answered, at least.
class push_run {
  public:
    push_run(boost::asio::io_context& io, const boost::asio::ip::tcp::endpoint& server, push_plan plan,
             const std::vector<std::string>& tokens);

    void start();
    /// A sync-available came.
    void hear(std::size_t number, std::string_view app);
    /// All pushes were answered.
    [[nodiscard]] bool answered() const { return answered_ == plan_.count; }
    /// And all were told who should be.
    [[nodiscard]] bool done() const { return answered() && untold_ == 0; }
    [[nodiscard]] push_figures figures() const;

  private:
    using clock = std::chrono::steady_clock;

    /// A user's push that is under way, as one of the user's devices sees it.
    struct ear {
        bool expects = false;
        std::optional<clock::time_point> told;
    };
    struct user_state {
        std::array<ear, devices_per_user> ears;
        std::optional<clock::time_point> sent;
        std::optional<clock::time_point> answered;
    };

    const push_plan plan_;
    const std::vector<std::string>& tokens_;
    std::vector<push_connection> connections_;
    std::vector<std::size_t> idle_; // of the connections
    boost::asio::steady_timer timer_;
    std::vector<std::size_t> order_; // of the users
    std::vector<user_state> users_;

    clock::time_point started_;
    clock::time_point last_answer_;
    std::size_t due_ = 0;
    std::size_t sent_ = 0;
    std::size_t answered_ = 0;
    std::size_t untold_ = 0;
    push_figures figures_;

    void wait_for_next();
    void send_due();
    void send(std::size_t user, std::size_t through);
    void take_answer(std::size_t user, unsigned status, const std::string& text);
    void finish(user_state& state);
    [[nodiscard]] std::size_t next_user();
    [[nodiscard]] push_request request_of(std::size_t user, std::size_t device) const;
};

} // namespace mana::bench
