#include "shared/gate/base64url.hpp"

#include <jwt/base64.hpp>

namespace mana::gate {
namespace {

constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

} // namespace

bool is_canonical_base64url(std::string_view text) noexcept {
    if (text.empty() || text.find_first_not_of(alphabet) != std::string_view::npos) return false;
    // A last group of 2 or 3 characters carries 12 or 18 bits for 8 or 16: the rest must be zero.
    const auto last = alphabet.find(text.back());
    switch (text.size() % 4) {
    case 1:
        return false;
    case 2:
        return (last & 0xfU) == 0;
    case 3:
        return (last & 0x3U) == 0;
    default:
        return true;
    }
}

std::optional<std::string> decode_base64url(std::string_view text) {
    if (!is_canonical_base64url(text)) return std::nullopt;
    return jwt::base64_uri_decode(text.data(), text.size());
}

} // namespace mana::gate
