// What a process tells the service manager that started it (sd_notify(3)): when it serves, reloads and stops,
// and that it still turns its loop.
//
// systemd is found by NOTIFY_SOCKET and WATCHDOG_USEC. Where they are not set, all of this does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace mana::runtime {

// For the loop of one thread. Nothing here blocks or throws: a manager that does not listen is no reason to
// serve anyone less.
class service_manager {
  public:
    using clock = std::chrono::steady_clock;

    // Reads how often the manager wants to hear of this process. Call before threads start.
    service_manager();

    // `status` is one line for people, as systemctl status shows it.
    void ready(std::string_view status) const; // also ends a reload
    void reloading() const;
    void stopping() const;
    void status(std::string_view status) const;

    // Within this time of silence the manager takes the process for stuck and kills it; nothing where it does
    // not watch.
    [[nodiscard]] std::optional<std::chrono::microseconds> patience() const noexcept { return patience_; }
    // When to call alive() next: half of that time after the last call. The past where it never was called,
    // and never where nobody watches.
    [[nodiscard]] clock::time_point next_sign_of_life() const noexcept { return next_; }
    // Only where the work goes on, in the loop that does it: a timer elsewhere would say nothing.
    void alive(clock::time_point now);

    // In a child, after fork(): whatever it does, the manager hears nothing of it.
    static void leave_to_parent();

  private:
    std::optional<std::chrono::microseconds> patience_;
    clock::time_point next_ = clock::time_point::max();
};

} // namespace mana::runtime
