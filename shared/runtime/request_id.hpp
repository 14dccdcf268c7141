// The id by which one request is found again in the logs of nginx, the programs and PostgreSQL.
#pragma once

#include <string>
#include <string_view>

namespace mana::runtime {

// `given` (nginx's $request_id), where it is fit for a log and for PostgreSQL's application_name: 1 to 40
// letters, digits, '-' and '_'. Else one that is made: 32 hexadecimal digits. Thread-safe.
[[nodiscard]] std::string request_id(std::string_view given);

} // namespace mana::runtime
