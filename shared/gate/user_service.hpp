// One of the services around us that is asked about users: billing or memberships (SPEC §6).
#pragma once

#include "shared/gate/http_fetch.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace mana::gate {

// Not thread-safe: one a thread, made after fork().
class user_service {
  public:
    using clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds answers_within{1'000};
    static constexpr std::chrono::seconds pause{5}; // after a failure nobody waits for it before this

    // `name` is what the log calls it. `base_url` has no slash at the end.
    user_service(std::string_view name, std::string base_url, const std::string& service_key);

    // The body that it answers with 200; nothing where it cannot be had: it is away, slow, says another
    // status, or failed a moment ago. One line is logged when that begins, and one when it is over.
    std::optional<std::string> ask(const std::string& path, clock::time_point now);

    // As if it had failed: the body made no sense.
    void failed(std::string_view reason, clock::time_point now);

  private:
    const std::string name_;
    const std::string base_url_;
    const std::string key_header_; // a secret: never logged
    http_client http_;
    std::optional<clock::time_point> closed_until_; // while it fails
};

} // namespace mana::gate
