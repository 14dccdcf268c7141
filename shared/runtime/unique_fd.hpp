// Ownership of one file descriptor.
#pragma once

#include <unistd.h>
#include <utility>

namespace mana::runtime {

// Owns a descriptor and closes it once. -1 means that it owns none. Move-only; not to be shared between
// threads without a lock. After fork() parent and child each own their copy.
// close() is not retried on EINTR and its error is dropped: on Linux the descriptor is gone either way, and
// whoever needs to know that data arrived must have asked (fsync, a reply) before.
class unique_fd {
  public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_{fd} {}
    unique_fd(unique_fd&& other) noexcept : fd_{other.release()} {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    unique_fd(const unique_fd&) = delete;
    unique_fd& operator=(const unique_fd&) = delete;
    ~unique_fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    // Gives the descriptor away: the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        if (old >= 0) ::close(old);
    }

  private:
    int fd_ = -1;
};

} // namespace mana::runtime
