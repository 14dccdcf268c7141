// Many clients of the hub at once, as browsers are: a phone and a laptop for each user, and whoever is cut
// off comes back, after a random moment and then ever more slowly.
#pragma once

#include "tests/bench/hub_wire.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::bench {

inline constexpr std::size_t devices_per_user = 2;

/// The client id of a user's device; the one after the last is not connected.
std::string device_name(std::size_t device);

struct fleet_losses {
    std::size_t cut = 0;                        ///< connections that were open
    std::size_t failed = 0;                     ///< that did not come about; each is tried again
    std::map<std::string, std::size_t> reasons; ///< of both
};

/// Connection n is device n % 2 of user n / 2. The io_context is not run after its end.
class fleet final : private socket_events {
  public:
    /// Hears of each sync-available: who was told, and of which app.
    using listener = std::function<void(std::size_t number, std::string_view app)>;

    fleet(boost::asio::io_context& io, boost::asio::ip::tcp::endpoint server,
          const std::vector<std::string>& tokens);

    /// Opens all, with so many handshakes under way at a time.
    void open_all(std::size_t at_a_time);
    void listen(listener hears) { hears_ = std::move(hears); }

    [[nodiscard]] std::size_t size() const { return clients_.size(); }
    /// How many are authenticated now.
    [[nodiscard]] std::size_t open() const { return open_; }
    /// Since they were taken last.
    [[nodiscard]] const fleet_losses& losses() const { return losses_; }
    fleet_losses take_losses() { return std::exchange(losses_, {}); }

  private:
    struct client {
        bool open = false;
        bool first = true; // until it was open once: then the handshakes are counted
        unsigned failures = 0;
    };

    boost::asio::io_context& io_;
    const boost::asio::ip::tcp::endpoint server_;
    const std::vector<std::string>& tokens_;
    listener hears_;
    std::vector<client> clients_;
    std::size_t open_ = 0;
    std::size_t next_ = 0; // the first that open_all has not begun with
    fleet_losses losses_;

    void on_open(std::size_t number) override;
    void on_message(std::size_t number, std::string_view text) override;
    void on_lost(std::size_t number, const std::string& reason) override;

    void open_next();
    void connect(std::size_t number);
    void connect_after(std::size_t number, std::chrono::milliseconds pause);
};

} // namespace mana::bench
