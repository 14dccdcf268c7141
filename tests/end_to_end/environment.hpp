// What ./dev test tells the end-to-end tests, and what they all need: users that no other test has met,
// times, and waiting for something to become true.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace mana::end_to_end {

// An environment variable that ./dev test sets. Throws std::runtime_error where it is missing.
std::string required_environment(const char* name);

// "name-<random>"
std::string fresh(std::string_view name);

// A JWT of that user from the identity service. Throws std::runtime_error.
std::string token_of(std::string_view user);

// "2026-01-31T09:00:00.123Z", `ahead` of now.
std::string time_from_now(std::chrono::milliseconds ahead = {});

// Asks again and again until `holds` says true; false when it still has not by then.
[[nodiscard]] bool await(const std::function<bool()>& holds,
                         std::chrono::milliseconds longest = std::chrono::seconds{10});

} // namespace mana::end_to_end
