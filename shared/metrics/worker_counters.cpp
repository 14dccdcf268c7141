#include "shared/metrics/worker_counters.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <stdexcept>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace mana::metrics {
namespace {

using runtime::unique_fd;

// "mana" and the number of the layout.
constexpr std::uint64_t layout_version = 0x6d616e61'00000003;

constexpr mode_t mode = 0640;

} // namespace

struct counters_layout {
    std::uint64_t version = layout_version;
    worker_counters counters;
};

namespace {

static_assert(std::is_standard_layout_v<counters_layout> &&
              std::is_trivially_destructible_v<counters_layout>);

int check(int outcome, const char* what) {
    if (outcome < 0) throw std::system_error{errno, std::generic_category(), what};
    return outcome;
}

unique_fd make_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) check(-1, "cannot be replaced");
    unique_fd made{
        check(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode), "cannot be made")};
    check(::fchmod(made.get(), mode), "cannot be made"); // whatever the umask
    // With its blocks: on a file system that is full, the first count would end in SIGBUS.
    if (const int failure = ::posix_fallocate(made.get(), 0, sizeof(counters_layout)))
        throw std::system_error{failure, std::generic_category(), "cannot be made"};
    return made;
}

void* map(const unique_fd& file, int protection) {
    void* const mapped = ::mmap(nullptr, sizeof(counters_layout), protection, MAP_SHARED, file.get(), 0);
    return mapped == MAP_FAILED ? nullptr : mapped; // NOLINT: the macro is a C cast
}

bool has_our_size(const unique_fd& file) {
    struct stat found {};
    return ::fstat(file.get(), &found) == 0 && S_ISREG(found.st_mode) &&
           found.st_size == static_cast<off_t>(sizeof(counters_layout));
}

// The lock that is taken here where nobody has it goes with the descriptor.
bool is_served(const unique_fd& file) {
    return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

} // namespace

void latency::observe(std::chrono::microseconds took) noexcept {
    took = std::max(took, std::chrono::microseconds::zero());
    const auto bucket = std::ranges::lower_bound(bounds, took) - bounds.begin();
    buckets_[static_cast<std::size_t>(bucket)].add();
    microseconds_.add(static_cast<std::uint64_t>(took.count()));
}

std::chrono::microseconds latency::total() const noexcept {
    return std::chrono::microseconds{static_cast<std::chrono::microseconds::rep>(microseconds_.value())};
}

void worker_counters::answered(route to, int status, std::chrono::microseconds waited,
                               std::chrono::microseconds took) noexcept {
    const auto row = static_cast<std::size_t>(to);
    const auto place = std::ranges::find(statuses, status) - statuses.begin();
    requests[row][static_cast<std::size_t>(place)].add();
    durations[row].observe(waited + took);
    waits.observe(waited);
}

void unmap_counters::operator()(const counters_layout* mapped) const noexcept {
    ::munmap(const_cast<counters_layout*>(mapped), sizeof *mapped);
}

counters_file::counters_file(std::string_view variable, const std::string& path) try {
    const std::string before_its_time = path + ".new";
    file_ = make_file(before_its_time);
    check(::flock(file_.get(), LOCK_EX | LOCK_NB), "cannot be locked");
    void* const mapped = map(file_, PROT_READ | PROT_WRITE);
    if (mapped == nullptr) check(-1, "cannot be mapped");
    mapped_.reset(std::construct_at(static_cast<counters_layout*>(mapped)));
    check(::rename(before_its_time.c_str(), path.c_str()), "cannot be put in its place");
} catch (const std::system_error& failed) {
    throw std::runtime_error{std::string{variable} + ": " + path + ": " + failed.what()};
}

worker_counters& counters_file::counters() const noexcept {
    return mapped_->counters;
}

std::string_view message(counters_fault fault) noexcept {
    switch (fault) {
    case counters_fault::missing:
        return "there is no such file";
    case counters_fault::unreadable:
        return "it may not be read";
    case counters_fault::foreign:
        break;
    }
    return "it is not of this version: workers and hub are of two builds";
}

boost::system::result<counters_view, counters_fault> counters_view::of(const std::string& path) {
    const unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!file) return errno == ENOENT ? counters_fault::missing : counters_fault::unreadable;
    if (!has_our_size(file)) return counters_fault::foreign;
    const void* const mapped = map(file, PROT_READ);
    if (mapped == nullptr) return counters_fault::unreadable;
    mapping layout{static_cast<const counters_layout*>(mapped)};
    if (layout->version != layout_version) return counters_fault::foreign;
    return counters_view{std::move(layout), is_served(file)};
}

const worker_counters& counters_view::counters() const noexcept {
    return mapped_->counters;
}

} // namespace mana::metrics
