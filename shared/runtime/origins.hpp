// Which web apps may call: CORS_ORIGINS, in the form in which browsers send an origin.
#pragma once

#include <string>
#include <vector>

namespace mana::runtime {

// `list`: origins (scheme://host[:port]), separated by commas, blanks around them ignored. An Origin header
// is compared byte by byte, so each is brought to the one form that a browser sends:
// "HTTPS://App.example.org:443" is "https://app.example.org". Of two that are the same one is left. What no
// browser sends is refused: a wildcard, a path, "null", a host with escapes. Throws std::invalid_argument
// with what is wrong.
//
// Other schemes than http and https are those of apps in a web view (tauri://localhost): their hosts keep
// their case, and their ports stay.
[[nodiscard]] std::vector<std::string> parse_origins(const std::string& list);

} // namespace mana::runtime
