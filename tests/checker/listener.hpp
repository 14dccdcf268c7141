// Devices that listen over a WebSocket each, as browsers do, all the time: whoever is cut off comes back
// after a moment. What they hear is written down.
#pragma once

#include "tests/bench/hub_wire.hpp"
#include "tests/checker/told.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace mana::checker {

struct listening_device {
    std::string user;
    std::string client; ///< is not told of its own pushes
    std::string token;
};

/// Thread-safe.
class listeners final : private bench::socket_events {
  public:
    /// All of them begin to connect to `/ws` of the server at `url`, on a thread that they share. Where it
    /// does not listen on an IPv4 loopback address without TLS, there are none.
    listeners(const std::string& url, std::vector<listening_device> devices);
    ~listeners() override;
    listeners(const listeners&) = delete;
    listeners& operator=(const listeners&) = delete;

    /// Waits until all are connected; false where that took too long.
    bool await_all(std::chrono::milliseconds patience);

    /// What each of them heard until now; empty where there are none.
    [[nodiscard]] std::vector<hearing> heard() const;

  private:
    const std::vector<listening_device> devices_;
    const std::optional<boost::asio::ip::tcp::endpoint> server_;

    // The thread's own.
    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
    std::minstd_rand random_{std::random_device{}()};

    mutable std::mutex lock_; ///< guards what follows
    std::condition_variable opened_;
    std::vector<hearing> heard_; ///< by number, as the devices
    std::size_t open_ = 0;

    std::thread thread_; ///< last: it uses all of the above

    void on_open(std::size_t number) override;
    void on_message(std::size_t number, std::string_view text) override;
    void on_lost(std::size_t number, const std::string& reason) override;

    void connect(std::size_t number);
    void connect_after_a_pause(std::size_t number);
};

} // namespace mana::checker
