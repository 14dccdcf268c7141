#include "tests/bench/hub_wire.hpp"

#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <chrono>
#include <netinet/in.h>
#include <sys/socket.h>
#include <utility>

namespace mana::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr auto handshake_within = 30s;
constexpr auto answer_within = 30s;

tcp::endpoint source_of(std::size_t number) {
    const auto offset = static_cast<asio::ip::address_v4::uint_type>(number % source_addresses);
    return {asio::ip::address_v4{asio::ip::address_v4::loopback().to_uint() + offset}, 0};
}

/// Not when it is bound: by then its destination is not known, and a port would serve one connection only.
void choose_port_late(tcp::socket& socket) {
    const int yes = 1;
    setsockopt(socket.native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
}

class socket_client : public std::enable_shared_from_this<socket_client> {
  public:
    socket_client(asio::io_context& io, socket_events& hears, std::size_t number, std::string auth)
        : hears_(hears), number_(number), auth_(std::move(auth)), ws_(io) {}

    void connect(const tcp::endpoint& server) {
        auto& socket = ws_.next_layer();
        socket.open(tcp::v4());
        socket.set_option(tcp::no_delay{true});
        choose_port_late(socket);
        socket.bind(source_of(number_));
        socket.async_connect(server, [self = shared_from_this()](error_code failure) {
            if (failure) return self->lose(failure);
            self->shake_hands();
        });
    }

  private:
    socket_events& hears_;
    const std::size_t number_;
    std::string auth_;
    websocket::stream<tcp::socket, false> ws_;
    beast::flat_buffer incoming_;
    bool open_ = false;

    void shake_hands() {
        ws_.set_option(
            websocket::stream_base::timeout{handshake_within, websocket::stream_base::none(), false});
        ws_.async_handshake("localhost", "/ws", [self = shared_from_this()](error_code failure) {
            if (failure) return self->lose(failure);
            self->authenticate();
        });
    }

    void authenticate() {
        ws_.async_write(asio::buffer(auth_), [self = shared_from_this()](error_code failure, std::size_t) {
            if (failure) return self->lose(failure);
            std::string{}.swap(self->auth_); // a token is large
            self->read_next();
        });
    }

    void read_next() {
        ws_.async_read(incoming_, [self = shared_from_this()](error_code failure, std::size_t) {
            if (failure) return self->lose(failure);
            self->take_message();
        });
    }

    void take_message() {
        const auto bytes = incoming_.cdata();
        const std::string_view text{static_cast<const char*>(bytes.data()), bytes.size()};
        if (open_) {
            hears_.on_message(number_, text);
        } else if (text != R"({"type":"auth-ok"})") {
            return hears_.on_lost(number_, std::string{text});
        } else {
            open_ = true;
            hears_.on_open(number_);
        }
        incoming_.clear();
        read_next();
    }

    void lose(error_code why) {
        const auto& said = ws_.reason();
        if (why == websocket::error::closed && !said.reason.empty())
            return hears_.on_lost(number_, "closed: " + std::string{said.reason.data(), said.reason.size()});
        hears_.on_lost(number_, why.message());
    }
};

} // namespace

void open_socket(asio::io_context& io, const tcp::endpoint& server, socket_events& hears, std::size_t number,
                 std::string auth) {
    std::make_shared<socket_client>(io, hears, number, std::move(auth))->connect(server);
}

struct push_connection::impl : std::enable_shared_from_this<impl> {
    impl(asio::io_context& io, tcp::endpoint where) : server(std::move(where)), stream(io) {}

    const tcp::endpoint server;
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    http::response<http::string_body> response;
    receiver receives;

    void begin() {
        stream.expires_after(answer_within);
        if (stream.socket().is_open()) return write();
        stream.async_connect(server, [self = shared_from_this()](error_code failure) {
            if (failure) return self->fail(failure);
            self->stream.socket().set_option(tcp::no_delay{true});
            self->write();
        });
    }

    void write() {
        http::async_write(stream, request, [self = shared_from_this()](error_code failure, std::size_t) {
            if (failure) return self->fail(failure);
            self->read();
        });
    }

    void read() {
        response = {};
        http::async_read(stream, buffer, response,
                         [self = shared_from_this()](error_code failure, std::size_t) {
                             if (failure) return self->fail(failure);
                             if (!self->response.keep_alive()) self->stream.close();
                             self->answer(self->response.result_int(), self->response.body());
                         });
    }

    void fail(error_code why) {
        stream.close();
        buffer.clear();
        answer(0, why.message());
    }

    void answer(unsigned status, const std::string& text) { std::exchange(receives, {})(status, text); }
};

push_connection::push_connection(asio::io_context& io, const tcp::endpoint& server)
    : impl_(std::make_shared<impl>(io, server)) {}
push_connection::~push_connection() = default;
push_connection::push_connection(push_connection&&) noexcept = default;
push_connection& push_connection::operator=(push_connection&&) noexcept = default;

void push_connection::send(const push_request& push, receiver then) {
    auto& request = impl_->request;
    request = {http::verb::post, "/sync/" + push.app, 11};
    request.set(http::field::host, "localhost");
    request.set(http::field::authorization, "Bearer " + push.token);
    request.set(http::field::content_type, "application/json");
    request.set("X-Client-Id", push.client);
    request.body() = push.body;
    request.prepare_payload();
    impl_->receives = std::move(then);
    impl_->begin();
}

} // namespace mana::bench
