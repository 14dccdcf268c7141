// What one check of doctor found.
#pragma once

#include <string>
#include <vector>

namespace mana::admin {

enum class verdict {
    ok,
    warning, // it serves, but not as it should
    failed,  // it does not serve, or not safely
    skipped, // cannot be told, because of another that failed
};

struct finding {
    verdict is = verdict::ok;
    std::string part; // what was looked at, a few words
    std::string found;
    std::string to_do; // what the operator does about it; empty where it is ok or skipped
};

using findings = std::vector<finding>;

} // namespace mana::admin
