// RFC 3339: the times that changes claim, and the cursors that clients send back.
#include "shared/sync/cursor.hpp"
#include "shared/sync/time.hpp"
#include "tests/fuzz/property.hpp"

#include <algorithm>

namespace mana::fuzz {
namespace {

using sync::instant;

constexpr std::size_t form_bytes = std::string_view("2026-01-31T09:00:00.123Z").size();

void check_time(std::string_view text) {
    const auto time = sync::parse_instant(text);
    const auto claim = sync::parse_claim(text);
    must(!claim || claim == time, "a claim is read as any time is");
    if (!time) return;
    const auto printed = sync::to_text(*time);
    must(printed.size() == form_bytes && printed.back() == 'Z', "a time has the one form");
    must(sync::parse_instant(printed) == time, "printed and read again it is the same");
    if (!claim) return;
    const auto next = sync::to_text(*time + std::chrono::milliseconds{1});
    must(next.size() == form_bytes && next > printed, "what is later than a claim sorts behind it");
}

void check_parts(std::string_view text) {
    const auto parts = sync::split_rfc3339(text);
    if (!parts) return;
    must(std::ranges::all_of(parts->fraction, [](char c) { return c >= '0' && c <= '9'; }),
         "a fraction is made of digits");
    const int micros = sync::leading_digits(parts->fraction, 6);
    must(micros >= 0 && micros < 1'000'000, "six digits are less than a second");
}

void check_cursor(std::string_view text) {
    const auto read = sync::parse_since(text);
    must(read.at >= sync::position{}, "nothing lies before the epoch");
    must(read.at != sync::position{} || read.from_epoch, "who is at the epoch began there");
    const auto printed = sync::to_text(read);
    must(sync::parse_since(printed) == read, "a cursor that is sent back is the same");
}

// Two texts, one a line: as strings they compare as the times, and the positions, that they are.
void check_order(std::string_view text) {
    const auto line_end = text.find('\n');
    if (line_end == std::string_view::npos) return;
    const auto one = sync::parse_instant(text.substr(0, line_end));
    const auto other = sync::parse_instant(text.substr(line_end + 1));
    if (one && other)
        must((*one < *other) == (sync::to_text(*one) < sync::to_text(*other)), "strings sort as times");
    auto from = sync::parse_since(text.substr(0, line_end));
    auto to = sync::parse_since(text.substr(line_end + 1));
    from.from_epoch = to.from_epoch = false; // two digits that a client's cursors all have, or none of them
    must((from.at < to.at) == (sync::to_text(from) < sync::to_text(to)), "and as positions");
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = mana::fuzz::text_of(data, size);
    mana::fuzz::check_time(text);
    mana::fuzz::check_parts(text);
    mana::fuzz::check_cursor(text);
    mana::fuzz::check_order(text);
    return 0;
}
