#include "ws_hub/listener.hpp"

#include "shared/runtime/log.hpp"

#include <chrono>
#include <utility>

namespace mana::hub {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;
using asio::local::stream_protocol;
using boost::system::error_code;
using namespace std::chrono_literals;

} // namespace

listener::listener(asio::io_context& io, const std::string& path)
    : door_("HUB_SOCKET", path, asio::socket_base::max_listen_connections), acceptor_(io), retry_(io) {
    acceptor_.assign(stream_protocol{}, door_.take_fd().release());
}

void listener::start(receiver receives) {
    receives_ = std::move(receives);
    accept_next();
}

void listener::stop() {
    // First the name, then the socket: once it takes no connections, another hub may put its own there.
    door_.remove_path();
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
}

void listener::accept_next() {
    acceptor_.async_accept([this](error_code failure, socket connected) {
        // Also once no more are taken: this one has left the backlog, where another hub would find it.
        if (!failure) receives_(std::move(connected));
        if (!acceptor_.is_open()) return;
        if (!failure) return accept_next();
        // Out of descriptors, most likely: what waits in the backlog is taken once some have come free.
        static log::limiter failing{10s};
        if (const auto suppressed = failing.admit(std::chrono::steady_clock::now()))
            log::error("accept_failed", {{"reason", failure.message()}, {"suppressed", *suppressed}});
        retry_.expires_after(100ms);
        retry_.async_wait([this](error_code cancelled) {
            if (!cancelled && acceptor_.is_open()) accept_next();
        });
    });
}

} // namespace mana::hub
