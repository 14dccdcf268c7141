// The two kinds of connections that the load on the hub is made of, on the wire. Everything happens on the
// one io thread, and the connections belong to their pending operations: they end with the io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace mana::bench {

/// What a WebSocket connection tells of itself; `number` is the one that it was given.
class socket_events {
  public:
    virtual ~socket_events() = default;
    /// auth-ok has come. Once at most.
    virtual void on_open(std::size_t number) = 0;
    /// Any later message.
    virtual void on_message(std::size_t number, std::string_view text) = 0;
    /// The connection is no more, or never came about. The last call, and a new connection may take the
    /// number.
    virtual void on_lost(std::size_t number, const std::string& reason) = 0;
};

/// Linux finds a free port for a connection by looking at one after the other, and needs a millisecond for it
/// once half of an address's ports to one destination are taken: so they come from several addresses, by
/// their number.
inline constexpr std::size_t source_addresses = 4;

/// Connects to /ws on the loopback interface and sends `auth`, a whole message. The io_context is
/// not run after the end of `hears`.
void open_socket(boost::asio::io_context& io, const boost::asio::ip::tcp::endpoint& server,
                 socket_events& hears, std::size_t number, std::string auth);

struct push_request {
    std::string app;
    std::string token;
    std::string client;
    std::string body;
};

/// An HTTP connection that is kept for the next push, and made anew where the server has closed it.
class push_connection {
  public:
    /// `status` is 0 where there was no answer; `text` is the body then, or what went wrong.
    using receiver = std::function<void(unsigned status, const std::string& text)>;

    push_connection(boost::asio::io_context& io, const boost::asio::ip::tcp::endpoint& server);
    ~push_connection();
    push_connection(push_connection&&) noexcept;
    push_connection& operator=(push_connection&&) noexcept;
    push_connection(const push_connection&) = delete;
    push_connection& operator=(const push_connection&) = delete;

    /// One at a time: the next one after `then` was called.
    void send(const push_request& push, receiver then);

  private:
    struct impl;
    std::shared_ptr<impl> impl_;
};

} // namespace mana::bench
