#include "ws_hub/listener.hpp"

#include "shared/runtime/log.hpp"

#include <boost/system/system_error.hpp>

#include <chrono>
#include <cstdlib>
#include <fcntl.h>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace mana::hub {
namespace {

namespace asio = boost::asio;
namespace log = runtime::log;
using asio::local::stream_protocol;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr int first_systemd_fd = 3;
constexpr ::mode_t no_execution_nothing_for_others = 0117; // leaves 0660

/// For the moment of bind(), so that the socket is never there with a wider mode.
class narrow_umask {
  public:
    narrow_umask() : before_(::umask(no_execution_nothing_for_others)) {}
    narrow_umask(const narrow_umask&) = delete;
    narrow_umask& operator=(const narrow_umask&) = delete;
    ~narrow_umask() { ::umask(before_); }

  private:
    const ::mode_t before_;
};

std::string_view environment(const char* name) {
    const char* const value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): before threads start
    return value == nullptr ? std::string_view{} : std::string_view{value};
}

/// See sd_listen_fds(3).
std::optional<int> systemd_socket() {
    if (environment("LISTEN_PID") != std::to_string(::getpid()) || environment("LISTEN_FDS") != "1")
        return std::nullopt;
    if (::fcntl(first_systemd_fd, F_SETFD, FD_CLOEXEC) != 0) return std::nullopt;
    return first_systemd_fd;
}

/// What a hub that died left at `path` takes no connection.
bool is_abandoned(const asio::any_io_executor& executor, const std::string& path) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
    stream_protocol::socket probe{executor};
    error_code failure;
    probe.connect(stream_protocol::endpoint{path}, failure);
    return failure == asio::error::connection_refused;
}

} // namespace

listener::listener(asio::io_context& io, const std::string& path) : acceptor_(io), retry_(io) {
    if (const auto handed = systemd_socket())
        acceptor_.assign(stream_protocol{}, *handed);
    else
        bind_to(path);
}

listener::~listener() {
    remove_path();
}

void listener::bind_to(const std::string& path) {
    acceptor_.open(stream_protocol{});
    const narrow_umask narrow;
    error_code failure;
    acceptor_.bind(stream_protocol::endpoint{path}, failure);
    if (failure == asio::error::address_in_use && is_abandoned(acceptor_.get_executor(), path)) {
        ::unlink(path.c_str());
        acceptor_.bind(stream_protocol::endpoint{path}, failure);
    }
    if (failure == asio::error::address_in_use)
        throw std::runtime_error{path + " is in use by another program, or is no socket"};
    if (failure) throw boost::system::system_error{failure, path};
    own_path_ = path;
    acceptor_.listen(asio::socket_base::max_listen_connections);
}

void listener::start(receiver receives) {
    receives_ = std::move(receives);
    accept_next();
}

void listener::stop() {
    // First the name, then the socket: once it takes no connections, another hub may put its own there.
    remove_path();
    error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
}

void listener::remove_path() noexcept {
    if (!own_path_.empty()) ::unlink(own_path_.c_str());
    own_path_.clear();
}

void listener::accept_next() {
    acceptor_.async_accept([this](error_code failure, socket connected) {
        if (!acceptor_.is_open()) return;
        if (!failure) {
            receives_(std::move(connected));
            return accept_next();
        }
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
