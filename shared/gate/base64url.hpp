// The strict form of base64url that JOSE prescribes (RFC 7515 §2, RFC 4648 §5 and §3.5).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace mana::gate {

// Whether `text` is base64url in the one canonical form of its bytes: not empty, no padding, no character
// outside the alphabet, no length that no bytes have, and no bits set that decoding would drop. Decoders
// accept more than that, so one signature would have many spellings.
[[nodiscard]] bool is_canonical_base64url(std::string_view text) noexcept;

// The bytes, or nothing where the form is not canonical.
[[nodiscard]] std::optional<std::string> decode_base64url(std::string_view text);

} // namespace mana::gate
