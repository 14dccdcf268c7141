#include "shared/runtime/listening_socket.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <system_error>
#include <systemd/sd-daemon.h>
#include <unistd.h>

namespace mana::runtime {
namespace {

constexpr mode_t all_but_0660 = 0117;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw std::runtime_error{path + ": " + why};
}

std::string error_text(int error) {
    return std::generic_category().message(error);
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) refuse(path, "is too long for a socket");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address); // the sockets API has it so
}

unique_fd new_socket(const std::string& path) {
    unique_fd made{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!made) refuse(path, error_text(errno));
    return made;
}

void remove_if_stale(const std::string& path, const sockaddr_un& address) {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) return;
    if (!S_ISSOCK(found.st_mode)) refuse(path, "is there already and is no socket");
    const unique_fd probe = new_socket(path);
    // Refused is the one answer that nobody's socket gives; a full backlog, say, is somebody's.
    const bool stale = ::connect(probe.get(), generic(address), sizeof address) != 0 && errno == ECONNREFUSED;
    if (!stale) refuse(path, "is in use by another process; end that one first");
    if (::unlink(path.c_str()) != 0) refuse(path, "cannot remove the stale socket: " + error_text(errno));
}

unique_fd open_at(const std::string& path, int backlog) {
    const sockaddr_un address = address_of(path);
    remove_if_stale(path, address);
    unique_fd made = new_socket(path);
    // The mode is there from the first moment on: a chmod would come after one.
    const mode_t before = ::umask(all_but_0660);
    const int failure = ::bind(made.get(), generic(address), sizeof address) != 0 ? errno : 0;
    ::umask(before);
    if (failure != 0) refuse(path, "cannot be made: " + error_text(failure));
    if (::listen(made.get(), backlog) != 0) refuse(path, "cannot be listened on: " + error_text(errno));
    return made;
}

// From the look whether somebody listens until one listens oneself, nobody else may do the same: else both
// see a stale socket, and the second removes the first one's. Ends with the descriptor.
unique_fd turn_at(const std::string& path) {
    constexpr mode_t mode = 0600;
    const std::string lock = path + ".lock";
    unique_fd file{::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode)};
    if (!file) refuse(path, "cannot be locked: " + error_text(errno));
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
    if (errno != EWOULDBLOCK) refuse(path, "cannot be locked: " + error_text(errno));
    refuse(path, "is in use by another process, which starts at this moment");
}

unique_fd make_at(const std::string& path, int backlog) {
    const unique_fd turn = turn_at(path);
    return open_at(path, backlog);
}

bool systemd_has_one() {
    constexpr int forget = 1; // what is ours is nobody else's
    return sd_listen_fds(forget) > 0;
}

unique_fd take_from_systemd(int backlog) {
    unique_fd given{SD_LISTEN_FDS_START};
    constexpr int listening = 1;
    if (sd_is_socket(given.get(), AF_UNSPEC, SOCK_STREAM, listening) <= 0)
        refuse("systemd's descriptor", "is no listening socket");
    const int flags = ::fcntl(given.get(), F_GETFL);
    ::fcntl(given.get(), F_SETFL, flags | O_NONBLOCK);
    // systemd's own default would let thousands wait.
    if (::listen(given.get(), backlog) != 0)
        refuse("systemd's descriptor", "cannot be listened on: " + error_text(errno));
    return given;
}

} // namespace

listening_socket::listening_socket(std::string_view variable, const std::string& path, int backlog) try
    : from_systemd_(systemd_has_one()) {
    fd_ = from_systemd_ ? take_from_systemd(backlog) : make_at(path, backlog);
    if (!from_systemd_) path_ = path;
} catch (const std::runtime_error& failed) {
    throw std::runtime_error{std::string{variable} + ": " + failed.what()};
}

listening_socket::~listening_socket() {
    remove_path();
}

void listening_socket::remove_path() noexcept {
    if (!path_.empty()) ::unlink(path_.c_str());
    path_.clear();
}

} // namespace mana::runtime
