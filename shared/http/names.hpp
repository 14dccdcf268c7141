// Names that clients put into a URL: which of them are served. Pure.
#pragma once

#include <string_view>

namespace mana::http {

// {appId}: 1 to 128 of the characters that a URL need not escape.
[[nodiscard]] bool is_app(std::string_view name);

// A table that the log can hold: not empty, UTF-8, without NUL. PostgreSQL would refuse any other, and that
// would be a failure of the server.
[[nodiscard]] bool is_collection(std::string_view name);

} // namespace mana::http
