// Who gets a socket's path when several want it.
#include "shared/runtime/listening_socket.hpp"
#include "shared/runtime/unique_fd.hpp"
#include "tests/unit/scratch_folder.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace mana::runtime {
namespace {

struct pipe_ends {
    unique_fd read;
    unique_fd write;
};

pipe_ends make_pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    return {unique_fd{ends[0]}, unique_fd{ends[1]}};
}

// A socket file of somebody who has died.
void leave_stale_socket(const std::string& path) {
    const unique_fd fd{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

bool can_connect(const std::string& path) {
    const unique_fd fd{::socket(AF_UNIX, SOCK_STREAM, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// In a child: waits until all may go, says whether it has the socket, and keeps it until it is told to end.
[[noreturn]] void want(const std::string& path, const pipe_ends& start, const pipe_ends& said,
                       const pipe_ends& end) {
    char nothing = 0;
    char outcome = 'n';
    (void)!::read(start.read.get(), &nothing, 1);
    try {
        const listening_socket mine{"SOCKET", path, 16};
        outcome = 'y';
        (void)!::write(said.write.get(), &outcome, 1);
        (void)!::read(end.read.get(), &nothing, 1);
        std::_Exit(0);
    } catch (const std::runtime_error&) {
        (void)!::write(said.write.get(), &outcome, 1);
        std::_Exit(0);
    }
}

TEST(listening_socket, goes_to_one_of_those_who_want_it_at_the_same_moment) {
    constexpr int rounds = 50;
    constexpr int processes = 8;
    const mana::testing::scratch_folder folder;
    const std::string path = folder.file("socket");
    for (int round = 0; round < rounds; ++round) {
        ::unlink(path.c_str());
        leave_stale_socket(path);
        auto start = make_pipe();
        auto said = make_pipe();
        auto end = make_pipe();
        std::vector<pid_t> children;
        for (int i = 0; i < processes; ++i) {
            const pid_t pid = ::fork();
            if (pid == 0) {
                start.write.reset();
                end.write.reset();
                want(path, start, said, end);
            }
            children.push_back(pid);
        }
        start.write.reset();
        int owners = 0;
        for (int i = 0; i < processes; ++i) {
            char outcome = 0;
            ASSERT_EQ(::read(said.read.get(), &outcome, 1), 1);
            owners += outcome == 'y' ? 1 : 0;
        }
        EXPECT_TRUE(can_connect(path));
        end.write.reset();
        for (const pid_t child : children) ::waitpid(child, nullptr, 0);
        ASSERT_EQ(owners, 1) << "round " << round;
    }
}

} // namespace
} // namespace mana::runtime
