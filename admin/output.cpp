#include "admin/output.hpp"

#include "shared/sync/cursor.hpp"
#include "shared/sync/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <unistd.h>

namespace mana::admin {
namespace {

// One thread: nothing changes the environment meanwhile.
std::string_view environment_text(const char* name) {
    const char* const value = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? std::string_view{} : value;
}

bool shows_colours() {
    static const bool shows = ::isatty(STDOUT_FILENO) == 1 && environment_text("NO_COLOR").empty() &&
                              environment_text("TERM") != "dumb" && !environment_text("TERM").empty();
    return shows;
}

std::string_view code_of(shade in) {
    switch (in) {
    case shade::good:
        return "\x1b[32m";
    case shade::doubtful:
        return "\x1b[33m";
    case shade::bad:
        return "\x1b[1;31m";
    case shade::faint:
        return "\x1b[2m";
    case shade::plain:
        break;
    }
    return {};
}

// Blanks and quotes, control characters, and those of C1, which UTF-8 writes as C2 80 to C2 9F.
bool is_plain(std::string_view name) {
    const auto odd = [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte <= 0x20 || byte == 0x7f || c == '"' || c == '\'' || byte == 0xc2;
    };
    return !name.empty() && std::none_of(name.begin(), name.end(), odd);
}

// JSON leaves C1 as it is.
std::string without_c1(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
        const bool c1 = static_cast<unsigned char>(text[i]) == 0xc2 && next >= 0x80 && next <= 0x9f;
        if (c1 || text[i] == '\x7f')
            out += '?';
        else
            out += text[i];
        if (c1) ++i;
    }
    return out;
}

std::string whole(double number, std::string_view unit) {
    return std::to_string(std::llround(number)) + ' ' + std::string{unit};
}

} // namespace

std::string shaded(std::string_view text, shade in) {
    if (in == shade::plain || !shows_colours()) return std::string{text};
    return std::string{code_of(in)}.append(text).append("\x1b[0m");
}

std::string printable(std::string_view name) {
    if (is_plain(name)) return std::string{name};
    std::string quoted;
    sync::append_json_string(quoted, name);
    return without_c1(quoted);
}

std::string in_words(std::chrono::duration<double> span) {
    const double seconds = std::abs(span.count());
    if (seconds < 1) return whole(seconds * 1000, "ms");
    if (seconds < 120) return whole(seconds, "s");
    if (seconds < 7'200) return whole(seconds / 60, "min");
    if (seconds < 172'800) return whole(seconds / 3'600, "h");
    return whole(seconds / 86'400, "days");
}

std::string count_of(std::int64_t number, std::string_view one, std::string_view many) {
    return std::to_string(number).append(" ").append(number == 1 ? one : many);
}

std::string to_text(sync::position at) {
    return sync::to_text(sync::cursor{at, false});
}

} // namespace mana::admin
