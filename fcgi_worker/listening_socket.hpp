// Where nginx finds the workers: a unix socket of our own, or the one that systemd hands over.
#pragma once

#include "shared/runtime/unique_fd.hpp"

#include <string>

namespace mana::fcgi_worker {

// Nonblocking and close-on-exec. Made by the master, inherited by its workers.
class listening_socket {
  public:
    // systemd's (LISTEN_PID, LISTEN_FDS; the first descriptor), else a new one at `path` with mode 0660. A
    // socket file that nobody listens on any more is replaced. Throws std::runtime_error with one line that
    // names WORKER_SOCKET. Call before threads start.
    explicit listening_socket(const std::string& path);
    listening_socket(const listening_socket&) = delete;
    listening_socket& operator=(const listening_socket&) = delete;
    listening_socket(listening_socket&&) = delete;
    listening_socket& operator=(listening_socket&&) = delete;
    // Removes the file if this process made it: workers leave by _exit and so keep it.
    ~listening_socket();

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    [[nodiscard]] bool from_systemd() const noexcept { return path_.empty(); }

  private:
    runtime::unique_fd fd_;
    std::string path_; // empty: systemd's
};

} // namespace mana::fcgi_worker
