// URLs as logs and terminals may have them.
#pragma once

#include <string>

namespace mana::runtime {

// Without what may be a secret: "https://ann:hush@host/path?key=hush" is "https://ann:***@host/path?***". The
// user of a URL without a password may be one too, and is masked. A text that is no URL is masked whole, and
// so is one with an @ where no user ends: it may be a password's.
[[nodiscard]] std::string shown_url(const std::string& url);

} // namespace mana::runtime
