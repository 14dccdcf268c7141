// Where connections come in: one unix socket, made here or handed over by systemd.
#pragma once

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

    /// Takes systemd's socket where LISTEN_FDS hands over one; else listens at `path` with mode 0660,
    /// replacing what a hub that died left there. Throws std::system_error, or std::runtime_error where
    /// another program listens there or something else than a socket is in the way. Call before threads
    /// start: it sets the process's umask.
    listener(boost::asio::io_context& io, const std::string& path);
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;
    ~listener();

    /// Once.
    void start(receiver receives);
    /// No new connection is taken; a socket made here is gone from its path. Idempotent.
    void stop();

  private:
    boost::asio::local::stream_protocol::acceptor acceptor_;
    boost::asio::steady_timer retry_;
    receiver receives_;    // constant after start()
    std::string own_path_; // empty: the socket is systemd's, or is gone

    void bind_to(const std::string& path);
    void remove_path() noexcept;
    void accept_next();
};

} // namespace mana::hub
