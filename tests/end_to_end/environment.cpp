#include "tests/end_to_end/environment.hpp"

#include "shared/sync/time.hpp"
#include "tests/end_to_end/http_client.hpp"

#include <cstdlib>
#include <random>
#include <stdexcept>
#include <thread>

namespace mana::end_to_end {

std::string required_environment(const char* name) {
    const char* const value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nothing sets variables
    if (value == nullptr || *value == '\0')
        throw std::runtime_error{std::string{name} + " is not set: run this test by ./dev test"};
    return value;
}

std::string fresh(std::string_view name) {
    static std::mt19937_64 random{std::random_device{}()};
    return std::string{name} + "-" + std::to_string(random());
}

std::string token_of(std::string_view user) {
    http_client identity{required_environment("MANA_TEST_IDENTITY_URL")};
    const auto reply = identity.get("/token?user=" + std::string{user});
    if (reply.status != 200) throw std::runtime_error{"the identity service gave no token"};
    return reply.body;
}

std::string time_from_now(std::chrono::milliseconds ahead) {
    const auto now = std::chrono::system_clock::now() + ahead;
    return sync::to_text(std::chrono::time_point_cast<std::chrono::milliseconds>(now));
}

bool await(const std::function<bool()>& holds, std::chrono::milliseconds longest) {
    const auto until = std::chrono::steady_clock::now() + longest;
    while (!holds()) {
        if (std::chrono::steady_clock::now() >= until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return true;
}

} // namespace mana::end_to_end
