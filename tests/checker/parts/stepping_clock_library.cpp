// Loaded into the server's programs before their own libraries (LD_PRELOAD): the wall clock that they see is
// ahead of this host's by what stepping_clock has set. Monotonic clocks and the times of files are this
// host's.
//
// Nothing here locks, allocates or opens a file: PostgreSQL looks at the clock in a signal handler too.
#include "tests/checker/parts/shared_word.hpp"

#include <cstdlib>
#include <ctime>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

using mana::checker::shared_word;

constexpr long nanoseconds_of_microsecond = 1'000;

/// Nothing while other libraries are loaded first, and when all end.
const shared_word* seconds_ahead = nullptr;

struct hands {
    shared_word ahead;

    explicit hands(const char* file) : ahead{file, shared_word::access::read} { seconds_ahead = &ahead; }
    ~hands() { seconds_ahead = nullptr; }
    hands(const hands&) = delete;
    hands& operator=(const hands&) = delete;
};

/// A program that is to go by this clock and can't does not start.
struct loaded {
    loaded() {
        // Nobody changes the environment yet. NOLINTNEXTLINE(concurrency-mt-unsafe)
        if (const char* const file = std::getenv("MANA_CHECKER_CLOCK")) static const hands kept{file};
    }
} const at_start;

/// This host's clock first, then the word: server_clock::step counts on that.
int look(clockid_t clock, timespec* to) {
    const auto failed = static_cast<int>(::syscall(SYS_clock_gettime, clock, to));
    if (failed != 0 || seconds_ahead == nullptr) return failed;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) to->tv_sec += (*seconds_ahead)->load();
    return failed;
}

} // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* to) noexcept {
    return look(clock, to);
}

int gettimeofday(timeval* to, void* /*zone*/) noexcept {
    timespec now{};
    const int failed = look(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / nanoseconds_of_microsecond;
    return failed;
}

time_t time(time_t* to) noexcept {
    timespec now{};
    look(CLOCK_REALTIME, &now);
    if (to != nullptr) *to = now.tv_sec;
    return now.tv_sec;
}
}
