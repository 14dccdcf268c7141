// Settings as they may be shown: passwords and keys masked.
#pragma once

#include <string>
#include <string_view>

namespace mana::admin {

// A value of this variable without what is secret in it: a key is masked whole, of a connection string or URL
// the password. One that cannot be read is masked whole.
[[nodiscard]] std::string masked(std::string_view name, const std::string& value);

} // namespace mana::admin
