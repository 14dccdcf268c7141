// Signals and descriptors: what a loop and a prefork master can rely on.
#include "shared/runtime/signals.hpp"
#include "shared/runtime/unique_fd.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace mana::runtime {
namespace {

using namespace std::chrono_literals;

bool is_open(int fd) {
    return fcntl(fd, F_GETFD) != -1;
}

TEST(signals, a_stop_signal_sets_the_flag_and_interrupts_a_blocked_read) {
    static volatile std::sig_atomic_t hooked = 0;
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const unique_fd out{ends[0]};
    const unique_fd in{ends[1]};
    install_stop_handlers({SIGUSR1}, [] { hooked = 1; });
    EXPECT_FALSE(stop_requested());

    const pthread_t reader = pthread_self();
    const std::jthread sender{[reader] {
        std::this_thread::sleep_for(50ms);
        pthread_kill(reader, SIGUSR1);
    }};
    char byte = 0;
    EXPECT_EQ(read(out.get(), &byte, 1), -1);
    EXPECT_EQ(errno, EINTR);
    EXPECT_TRUE(stop_requested());
    EXPECT_EQ(stop_signal(), SIGUSR1);
    EXPECT_EQ(hooked, 1);
}

TEST(signals, a_write_to_nobody_is_an_error_and_no_death) {
    ignore_broken_pipes();
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    close(ends[0]);
    const unique_fd in{ends[1]};
    EXPECT_EQ(write(in.get(), "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
}

TEST(signals, a_blocked_signal_waits_to_be_asked_for) {
    blocked_signals blocked{SIGHUP, SIGCHLD};
    EXPECT_EQ(blocked.wait_for_signal(0ms), std::nullopt);
    raise(SIGHUP);
    EXPECT_EQ(blocked.wait_for_signal(1s), SIGHUP);
    EXPECT_EQ(blocked.wait_for_signal(20ms), std::nullopt);
}

TEST(signals, the_end_of_a_child_can_be_waited_for_and_the_child_has_the_mask_of_before) {
    blocked_signals blocked{SIGTERM, SIGCHLD};
    const pid_t child = fork();
    ASSERT_NE(child, -1);
    if (child == 0) {
        blocked.restore();
        raise(SIGTERM);
        _exit(0); // reached only if SIGTERM were still blocked
    }
    EXPECT_EQ(blocked.wait_for_signal(10s), SIGCHLD);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(unique_fd, closes_once_what_it_owns) {
    const int raw = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(raw, 0);
    {
        unique_fd first{raw};
        unique_fd second{std::move(first)};
        EXPECT_EQ(second.get(), raw);
        EXPECT_TRUE(is_open(raw));
    }
    EXPECT_FALSE(is_open(raw));
}

TEST(unique_fd, gives_away_and_replaces) {
    unique_fd owner{open("/dev/null", O_RDONLY | O_CLOEXEC)};
    const int raw = owner.release();
    EXPECT_FALSE(owner);
    EXPECT_TRUE(is_open(raw));
    owner.reset(raw);
    owner = unique_fd{};
    EXPECT_FALSE(is_open(raw));
}

} // namespace
} // namespace mana::runtime
