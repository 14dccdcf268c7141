#include "fcgi_worker/lifetime.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <random>
#include <string_view>
#include <system_error>
#include <unistd.h>

namespace mana::fcgi_worker {
namespace {

constexpr unsigned between_looks = 63;

std::uint64_t drawn(unsigned requests) {
    std::random_device random; // not a copy of a generator that all workers inherited
    return std::uniform_int_distribution<std::uint64_t>{requests - requests / 10, requests}(random);
}

runtime::unique_fd open_statm() {
    runtime::unique_fd file{::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    if (!file) throw std::system_error{errno, std::generic_category(), "/proc/self/statm"};
    return file;
}

} // namespace

lifetime::lifetime(unsigned requests, unsigned megabytes)
    : requests_left_{drawn(requests)}, most_bytes_{std::uint64_t{megabytes} << 20U}, memory_{open_statm()} {}

const char* lifetime::over() {
    if (requests_left_ > 0 && --requests_left_ == 0) return "requests";
    if (most_bytes_ == 0 || until_look_-- > 0) return nullptr;
    until_look_ = between_looks;
    return resident_bytes() > most_bytes_ ? "memory" : nullptr;
}

// "size resident …", in pages.
std::uint64_t lifetime::resident_bytes() const noexcept {
    std::array<char, 128> text{};
    const auto length = ::pread(memory_.get(), text.data(), text.size(), 0);
    if (length <= 0) return 0;
    const std::string_view line{text.data(), static_cast<std::size_t>(length)};
    const auto second = line.find(' ') + 1;
    std::uint64_t pages = 0;
    std::from_chars(line.data() + second, line.data() + line.size(), pages);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

} // namespace mana::fcgi_worker
