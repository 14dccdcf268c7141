// One structured line per event, on stderr.
//
//     time=2026-01-31T12:00:00.123Z pid=17 level=info event=push_stored app=todo changes=3
//
// Where stderr is systemd's journal, which keeps time and process itself, the line begins with the priority
// that the journal is to file it under instead: <7>, <6>, <4> or <3> (sd-daemon(3)).
//
// A value is quoted where it holds a space, '=', '"' or a control character, so one event is always one line;
// a value longer than max_value_bytes is cut and ends in "...".
//
// What may be logged is the caller's duty: never a token, a service key, a database password, or the value of
// a user's field. Names, ids, counts, times and reasons are fine.
//
// All functions may be called from any thread, and after fork(); none throws: a line that cannot be written
// is dropped. The library behind this header (spdlog) is slow to compile and is seen by log.cpp alone.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace mana::runtime::log {

enum class level { debug, info, warn, error };

inline constexpr std::size_t max_value_bytes = 512;

// What a field may hold. Views are not copied: a value lives as long as the call that logs it.
class value {
  public:
    // The constructors are implicit so that {"key", anything} reads as a field.
    template<std::convertible_to<std::string_view> Text>
    value(const Text& text) : held_{std::string_view{text}} {}
    // Not a plain bool parameter, to which any pointer would convert.
    template<std::same_as<bool> Flag>
    value(Flag flag) : held_{flag} {}
    template<std::signed_integral Number>
    value(Number number) : held_{std::int64_t{number}} {}
    template<std::unsigned_integral Number>
    requires(!std::same_as<Number, bool>) value(Number number) : held_{std::uint64_t{number}} {}

    [[nodiscard]] const auto& held() const noexcept { return held_; }

  private:
    std::variant<std::string_view, std::int64_t, std::uint64_t, bool> held_;
};

struct field {
    std::string_view key; // snake_case, written as it is
    value what;
};

using fields = std::initializer_list<field>;

// Lines below this level are not written. Default info. Set once at the start.
void set_level(level least) noexcept;

// `event` is a snake_case name that operators can search for.
void debug(std::string_view event, fields what = {}) noexcept;
void info(std::string_view event, fields what = {}) noexcept;
void warn(std::string_view event, fields what = {}) noexcept;
void error(std::string_view event, fields what = {}) noexcept;

// The line without time and process: "level=info event=push_stored app=todo".
std::string format(level severity, std::string_view event, fields what);

// Lets at most one line through per interval, for events that come as often as requests do.
//
//     if (const auto suppressed = redis_down.admit(std::chrono::steady_clock::now()))
//         log::warn("redis_down", {{"suppressed", *suppressed}});
//
// Thread-safe; counts per process.
class limiter {
  public:
    explicit limiter(std::chrono::milliseconds interval) noexcept : interval_{interval} {}

    // How many events were held back since the last line, where a line may be written now; else nothing.
    [[nodiscard]] std::optional<std::uint64_t> admit(std::chrono::steady_clock::time_point now);

  private:
    const std::chrono::milliseconds interval_;
    std::mutex mutex_; // guards all below
    std::optional<std::chrono::steady_clock::time_point> last_;
    std::uint64_t suppressed_ = 0;
};

} // namespace mana::runtime::log
