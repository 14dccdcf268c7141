// Where nginx finds a program: a unix socket of our own, or the one that systemd hands over.
#pragma once

#include "shared/runtime/unique_fd.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace mana::runtime {

// Nonblocking and close-on-exec. The workers' is made by their master and inherited.
class listening_socket {
  public:
    // systemd's (LISTEN_PID, LISTEN_FDS; the first descriptor), else a new one at `path` with mode 0660. A
    // socket file that nobody listens on any more is replaced; of several processes that want it at the same
    // moment one has it (by a lock on path.lock, a file that stays). `backlog`: how many connections may
    // wait.
    // Throws std::runtime_error with one line that names `variable`, which the path was set by. Call before
    // threads start.
    listening_socket(std::string_view variable, const std::string& path, int backlog);
    listening_socket(const listening_socket&) = delete;
    listening_socket& operator=(const listening_socket&) = delete;
    listening_socket(listening_socket&&) = delete;
    listening_socket& operator=(listening_socket&&) = delete;
    // As remove_path(). Workers leave by _exit and so keep the file.
    ~listening_socket();

    // Removes the file if this process made it: another program may then put its own there, while this one
    // still takes what waits. Once; then it does nothing.
    void remove_path() noexcept;

    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    // Hands the descriptor over to whoever accepts; fd() is none from then on.
    [[nodiscard]] unique_fd take_fd() noexcept { return std::move(fd_); }
    [[nodiscard]] bool from_systemd() const noexcept { return from_systemd_; }

  private:
    unique_fd fd_;
    std::string path_; // empty: systemd's, or removed already
    bool from_systemd_ = false;
};

} // namespace mana::runtime
