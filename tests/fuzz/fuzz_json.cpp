// JSON as clients send it: what is read, and that it is read as others read it.
#include "shared/sync/json_text.hpp"
#include "tests/fuzz/json_properties.hpp"

#include <nlohmann/json.hpp>

namespace mana::fuzz {
namespace {

using sync::json_fault;
using sync::json_value;

constexpr std::size_t shallow = 4;
constexpr std::size_t deeper_than_any_input = 4'000;

bool has_lone_surrogates_perhaps(std::string_view text) {
    return text.find("\\ud") != std::string_view::npos || text.find("\\uD") != std::string_view::npos;
}

bool has_number_beyond_double(std::string_view text) {
    try {
        return nlohmann::json::parse(text).is_discarded();
    } catch (const nlohmann::json::out_of_range&) {
        return true;
    } catch (const nlohmann::json::parse_error&) {
        return false;
    }
}

// A parser by other people. It takes a NUL for the end of the text and leaves out a byte order mark. It
// refuses lone surrogates, which ours mends, and numbers beyond a double, which ours reads so that one change
// alone is refused.
void must_be_read_like_elsewhere(std::string_view text, bool is_read) {
    if (sync::has_nul(text) || text.starts_with("\xef\xbb\xbf")) {
        must(!is_read, "no JSON begins with a mark or has a NUL");
        return;
    }
    const bool elsewhere = nlohmann::json::accept(text);
    must(is_read || !elsewhere, "what another parser reads is read");
    must(elsewhere || !is_read || has_lone_surrogates_perhaps(text) || has_number_beyond_double(text),
         "what another parser refuses is refused");
}

bool equal_where_none_is_cut(const json_value& cut, const json_value& whole) {
    return depth_of(whole) > shallow || sync::to_json_text(cut) == sync::to_json_text(whole);
}

// Members as a reader of the text alone finds them are those of the parsed value.
void must_be_walked_over(const sync::json_object& members, std::string_view text) {
    sync::json_object walked;
    sync::object_reader reader;
    for (reader.read(text); reader.next();)
        set_member(walked, std::string(reader.name()), sync::parse_stored_json(reader.value()));
    must(sync::to_json_text(walked) == sync::to_json_text(members), "an object's text is walked over");
}

void check(std::string_view text) {
    const auto whole = sync::parse_json(text, deeper_than_any_input);
    must_be_read_like_elsewhere(text, whole.has_value());
    const auto cut = sync::parse_json(text, shallow);
    if (!whole) return;
    must_survive_writing(*whole);
    if (const auto* members = whole->as_object()) must_be_walked_over(*members, sync::to_json_text(*whole));
    must(sync::same(*whole, *whole), "a value is the same as itself");
    must(cut.has_value(), "depth alone makes no JSON unreadable");
    must(depth_of(*cut) <= shallow, "nothing is kept beyond the depth that is allowed");
    must((sync::find_fault(*cut) != json_fault::none) || depth_of(*whole) <= shallow, "depth is a fault");
    must(equal_where_none_is_cut(*cut, *whole), "what is not too deep is left as it is");
}

} // namespace
} // namespace mana::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    mana::fuzz::check(mana::fuzz::text_of(data, size));
    return 0;
}
