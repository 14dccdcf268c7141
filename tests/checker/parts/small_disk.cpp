#include "tests/checker/parts/small_disk.hpp"

#include <cerrno>
#include <filesystem>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace mana::checker {

namespace {

constexpr unsigned long long bytes_at_most = 2ULL << 30U; // memory, as far as it is used

[[noreturn]] void fail(const std::string& what) {
    throw std::system_error{errno, std::generic_category(), what};
}

/// In a mount namespace of this process's own, from which nothing gets out.
bool mount_privately(const std::string& folder) {
    const auto options = "mode=0700,size=" + std::to_string(bytes_at_most);
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("tmpfs", folder.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) == 0;
}

} // namespace

small_disk::small_disk(std::string folder) : folder_(std::move(folder)) {
    if (!mount_privately(folder_)) fail("a small file system on " + folder_);
}

small_disk::~small_disk() {
    ::umount2(folder_.c_str(), MNT_DETACH);
}

bool small_disk::resize(unsigned long long bytes) const {
    const auto options = "size=" + std::to_string(bytes);
    return ::mount("none", folder_.c_str(), nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, options.c_str()) == 0;
}

// It shrinks to what it holds, which costs no memory. Where more was written meanwhile, that is refused.
void small_disk::fill() {
    for (;;) {
        struct statvfs now {};
        if (::statvfs(folder_.c_str(), &now) != 0) fail(folder_);
        if (resize((now.f_blocks - now.f_bfree) * now.f_frsize)) return;
        if (errno != EINVAL) fail("shrinking " + folder_);
    }
}

void small_disk::free_up() {
    if (!resize(bytes_at_most)) fail("growing " + folder_);
}

// Only a try can tell: root may lack the right, in a container.
std::string small_disk::lacking() {
    const auto anywhere = std::filesystem::temp_directory_path().string();
    const pid_t child = ::fork();
    if (child < 0) fail("fork");
    if (child == 0) ::_exit(mount_privately(anywhere) ? 0 : 1);
    int status = 0;
    const bool can_mount =
        ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return can_mount ? "" : "the right to mount a file system";
}

} // namespace mana::checker
