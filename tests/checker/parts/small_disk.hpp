// A file system of the checker's own, in memory, on which no space is left when it is told so.
#pragma once

#include <string>

namespace mana::checker {

/// Seen by this process and those that it starts from then on, and gone with the last of them, however that
/// ends. Not thread-safe.
class small_disk {
  public:
    /// On a folder that is empty and outlives it. To be made before there are threads, which would not see
    /// it. Throws std::system_error, as all here do.
    explicit small_disk(std::string folder);
    ~small_disk();
    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;

    /// Not one byte is left. What is there can still be read, and written over.
    void fill();
    /// There is space again.
    void free_up();

    /// What this machine lacks for it, in a few words; empty: nothing.
    [[nodiscard]] static std::string lacking();

  private:
    [[nodiscard]] bool resize(unsigned long long bytes) const;

    const std::string folder_;
};

} // namespace mana::checker
