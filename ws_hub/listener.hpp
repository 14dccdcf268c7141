// Where connections come in: one unix socket, made here or handed over by systemd.
#pragma once

#include "shared/runtime/listening_socket.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <string>

namespace mana::hub {

class listener {
  public:
    using socket = boost::asio::local::stream_protocol::socket;
    /// Called on the io thread with each new connection.
    using receiver = std::function<void(socket connected)>;

    /// Takes systemd's socket, or listens at `path`: see runtime::listening_socket, also for what it throws.
    listener(boost::asio::io_context& io, const std::string& path);

    /// Once.
    void start(receiver receives);
    /// No new connection is taken; a socket made here is gone from its path. Idempotent.
    void stop();

  private:
    runtime::listening_socket door_; // its file; the descriptor is the acceptor's
    boost::asio::local::stream_protocol::acceptor acceptor_;
    boost::asio::steady_timer retry_;
    receiver receives_; // constant after start()

    void accept_next();
};

} // namespace mana::hub
