// When a worker has served long enough: what slowly grows in a process ends with it.
#pragma once

#include "shared/runtime/unique_fd.hpp"

#include <cstdint>

namespace mana::fcgi_worker {

class lifetime {
  public:
    // `requests`: about how many it takes; each worker draws a number up to a tenth below, so that those of
    // one start do not all end at once. `megabytes`: of resident memory. 0: no end by that. Throws
    // std::system_error.
    lifetime(unsigned requests, unsigned megabytes);

    // After each request. Says for what reason it is over, or nullptr. Memory is looked at after the first
    // request and after every 64th from then on.
    [[nodiscard]] const char* over();

  private:
    [[nodiscard]] std::uint64_t resident_bytes() const noexcept;

    std::uint64_t requests_left_; // 0: not counted
    const std::uint64_t most_bytes_;
    unsigned until_look_ = 0;
    runtime::unique_fd memory_; // /proc/self/statm, held open: one read a look
};

} // namespace mana::fcgi_worker
