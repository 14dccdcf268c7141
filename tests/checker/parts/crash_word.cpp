#include "tests/checker/parts/crash_word.hpp"

#include "shared/runtime/unique_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <system_error>

namespace mana::checker {

namespace {

constexpr std::int64_t nothing = 0;

bool is_time(std::int64_t value) {
    return value > static_cast<std::int64_t>(crash_point::hub_after_publish);
}

} // namespace

crash_word::crash_word(const std::string& file) {
    const runtime::unique_fd opened{::open(file.c_str(), O_RDWR | O_CLOEXEC)};
    void* const memory = ::mmap(nullptr, sizeof(word), PROT_READ | PROT_WRITE, MAP_SHARED, opened.get(), 0);
    if (memory == MAP_FAILED) throw std::system_error{errno, std::generic_category(), file};
    shared_ = static_cast<word*>(memory);
}

crash_word::~crash_word() {
    ::munmap(shared_, sizeof(word));
}

void crash_word::arm(crash_point point) {
    *shared_ = static_cast<std::int64_t>(point);
}

bool crash_word::is_taken() const {
    return is_time(*shared_);
}

std::optional<crash_word::time> crash_word::disarm() {
    const auto was = shared_->exchange(nothing);
    if (!is_time(was)) return std::nullopt;
    return time{std::chrono::nanoseconds{was}};
}

bool crash_word::take(crash_point point) {
    auto armed = static_cast<std::int64_t>(point);
    const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
    return shared_->compare_exchange_strong(armed, now.count());
}

} // namespace mana::checker
