#include "shared/runtime/service_manager.hpp"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <systemd/sd-daemon.h>

namespace mana::runtime {
namespace {

void tell(const std::string& state) {
    constexpr int keep_environment = 0;
    sd_notify(keep_environment, state.c_str()); // 0 where there is no manager, and an error helps nobody
}

std::string line_of(std::string_view status) {
    return "STATUS=" + std::string{status};
}

} // namespace

service_manager::service_manager() {
    constexpr int keep_environment = 0;
    std::uint64_t microseconds = 0;
    if (sd_watchdog_enabled(keep_environment, &microseconds) <= 0) return;
    patience_ = std::chrono::microseconds{static_cast<std::chrono::microseconds::rep>(microseconds)};
    next_ = clock::time_point{};
}

void service_manager::ready(std::string_view status) const {
    tell("READY=1\n" + line_of(status));
}

void service_manager::reloading() const {
    // From version 253 on the manager wants to know which reload it is that has begun; older ones skip the
    // line. The steady clock is the one it means.
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(clock::now().time_since_epoch());
    tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now.count()));
}

void service_manager::stopping() const {
    tell("STOPPING=1");
}

void service_manager::status(std::string_view status) const {
    tell(line_of(status));
}

void service_manager::alive(clock::time_point now) {
    if (!patience_) return;
    tell("WATCHDOG=1");
    next_ = now + *patience_ / 2;
}

void service_manager::leave_to_parent() {
    for (const char* const name : std::array{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
        ::unsetenv(name); // NOLINT(concurrency-mt-unsafe): a child that was just forked has one thread
}

} // namespace mana::runtime
