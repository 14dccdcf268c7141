// One of the services around us that is asked about users: billing or memberships (SPEC §6).
#pragma once

#include "shared/gate/http_fetch.hpp"
#include "shared/runtime/log.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace mana::gate {

// What came of a question about one user. Whatever it is, unless the service is away, it keeps nobody else
// from being asked for.
struct user_answer {
    enum class outcome {
        said,     // 200
        unknown,  // 404 or 410 with a JSON object: the service knows no such user
        unusable, // any other answer; 401 and 403 are about our key, and an error in the log
        away,     // none within `answers_within`, or 5xx: nobody is asked before `pause` is over
    };
    outcome what = outcome::away;
    std::string body; // of what is said
};

// Not thread-safe: one a thread, made after fork().
class user_service {
  public:
    using clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds answers_within{1'000};
    static constexpr std::chrono::seconds pause{5}; // after a failure nobody waits for it before this

    // `name` is what the log calls it. `base_url` has no slash at the end.
    user_service(std::string_view name, std::string base_url, const std::string& service_key);

    // Blocks for `answers_within` at most, and not at all while the service is away. One line is logged when
    // that begins, and one when it is over.
    user_answer ask(const std::string& path, clock::time_point now);

    // Its answer about one user made no sense: logged, at most once in ten seconds.
    void unusable(std::string_view reason, clock::time_point now);

  private:
    const std::string name_;
    const std::string base_url_;
    const std::string key_header_; // a secret: never logged
    http_client http_;
    std::optional<clock::time_point> away_until_;
    runtime::log::limiter unknowns_{std::chrono::seconds{60}};
    runtime::log::limiter refusals_{std::chrono::seconds{60}};
    runtime::log::limiter oddities_{std::chrono::seconds{10}};

    user_answer read(http_reply reply, clock::time_point now);
    user_answer away(std::string_view reason, clock::time_point now);
    void back();
    void refuses_key(std::string_view reason, clock::time_point now);
    void knows_no_user(std::string_view reason, clock::time_point now);
};

} // namespace mana::gate
