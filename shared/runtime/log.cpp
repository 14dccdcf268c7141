#include "shared/runtime/log.hpp"

#include <cstdlib>
#include <memory>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <type_traits>
#include <unistd.h>
#include <utility>

namespace mana::runtime::log {
namespace {

spdlog::level::level_enum spdlog_level(level severity) {
    switch (severity) {
    case level::debug:
        return spdlog::level::debug;
    case level::info:
        return spdlog::level::info;
    case level::warn:
        return spdlog::level::warn;
    case level::error:
        return spdlog::level::err;
    }
    return spdlog::level::err;
}

std::string_view name_of(level severity) {
    switch (severity) {
    case level::debug:
        return "debug";
    case level::info:
        return "info";
    case level::warn:
        return "warn";
    case level::error:
        return "error";
    }
    return "error";
}

// Whether stderr is the stream that systemd says it opened to its journal (systemd.exec(5)).
bool writes_to_journal() {
    const char* const stream = std::getenv("JOURNAL_STREAM"); // NOLINT(concurrency-mt-unsafe): never set here
    struct stat opened {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &opened) != 0) return false;
    return std::to_string(opened.st_dev).append(":").append(std::to_string(opened.st_ino)) == stream;
}

// What the journal calls a severity; nothing where the lines go elsewhere.
std::string_view priority_of(level severity) {
    static const bool to_journal = writes_to_journal();
    if (!to_journal) return {};
    switch (severity) {
    case level::debug:
        return "<7>";
    case level::info:
        return "<6>";
    case level::warn:
        return "<4>";
    case level::error:
        return "<3>";
    }
    return "<3>";
}

// Never destroyed: destructors of other statics may still log while the process ends.
spdlog::logger& logger() {
    static spdlog::logger* const instance = [] {
        auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        auto made = std::make_unique<spdlog::logger>("mana-sync", std::move(sink));
        const char* const pattern = writes_to_journal() ? "%v" : "time=%Y-%m-%dT%H:%M:%S.%eZ pid=%P %v";
        made->set_formatter(
            std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
        made->set_level(spdlog::level::info);
        return made.release();
    }();
    return *instance;
}

bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

bool needs_quotes(std::string_view text) {
    if (text.empty()) return true;
    for (const char c : text)
        if (is_control(c) || c == ' ' || c == '=' || c == '"' || c == '\\') return true;
    return false;
}

void append_escaped(std::string& line, char c) {
    constexpr std::string_view digits = "0123456789abcdef";
    switch (c) {
    case '"':
        line += "\\\"";
        return;
    case '\\':
        line += "\\\\";
        return;
    case '\n':
        line += "\\n";
        return;
    case '\r':
        line += "\\r";
        return;
    case '\t':
        line += "\\t";
        return;
    default:
        break;
    }
    if (!is_control(c)) {
        line += c;
        return;
    }
    const auto byte = static_cast<unsigned char>(c);
    line += "\\u00";
    line += digits[byte >> 4U];
    line += digits[byte & 0xfU];
}

// Cuts between characters, so that a cut line is still valid UTF-8.
std::string_view cut_to(std::string_view text, std::size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0U) == 0x80U) --most;
    return text.substr(0, most);
}

void append_text(std::string& line, std::string_view text) {
    const std::string_view shown = cut_to(text, max_value_bytes);
    const bool quoted = needs_quotes(shown);
    if (quoted) line += '"';
    for (const char c : shown) append_escaped(line, c);
    if (shown.size() < text.size()) line += "...";
    if (quoted) line += '"';
}

void append_value(std::string& line, const value& what) {
    std::visit(
        [&line](auto held) {
            using kind = decltype(held);
            if constexpr (std::is_same_v<kind, std::string_view>)
                append_text(line, held);
            else if constexpr (std::is_same_v<kind, bool>)
                line += held ? "true" : "false";
            else
                line += std::to_string(held);
        },
        what.held());
}

void write(level severity, std::string_view event, fields what) noexcept {
    try {
        const auto at = spdlog_level(severity);
        if (!logger().should_log(at)) return;
        logger().log(
            at, spdlog::string_view_t{std::string{priority_of(severity)} + format(severity, event, what)});
    } catch (...) { // NOLINT(bugprone-empty-catch): a log line must never fail what it reports
    }
}

} // namespace

std::string format(level severity, std::string_view event, fields what) {
    std::string line = "level=";
    line += name_of(severity);
    line += " event=";
    append_text(line, event);
    for (const field& each : what) {
        line += ' ';
        line += each.key;
        line += '=';
        append_value(line, each.what);
    }
    return line;
}

void set_level(level least) noexcept {
    try {
        logger().set_level(spdlog_level(least));
    } catch (...) { // NOLINT(bugprone-empty-catch): without memory for a logger there is no log either
    }
}

void debug(std::string_view event, fields what) noexcept {
    write(level::debug, event, what);
}
void info(std::string_view event, fields what) noexcept {
    write(level::info, event, what);
}
void warn(std::string_view event, fields what) noexcept {
    write(level::warn, event, what);
}
void error(std::string_view event, fields what) noexcept {
    write(level::error, event, what);
}

std::optional<std::uint64_t> limiter::admit(std::chrono::steady_clock::time_point now) {
    const std::lock_guard lock{mutex_};
    if (last_ && now - *last_ < interval_) {
        ++suppressed_;
        return std::nullopt;
    }
    last_ = now;
    return std::exchange(suppressed_, 0);
}

} // namespace mana::runtime::log
