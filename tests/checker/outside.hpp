// The services outside of mana-sync: tokens, and who is a member of which space (tests/identity/identity.py).
#pragma once

#include "tests/end_to_end/http_client.hpp"

#include <map>
#include <mutex>
#include <set>
#include <string>

namespace mana::checker {

/// Thread-safe.
class outside {
  public:
    /// `url`: where GET /token?user=U gives a token, and POST /control sets memberships.
    explicit outside(std::string url) : http_(std::move(url)) {}

    /// The same one for all devices of a user. Throws std::runtime_error where there is none to be had.
    std::string token_of(const std::string& user);
    /// From when on it holds is the server's to know (GATE_CACHE).
    void set_member(const std::string& user, const std::string& space, bool member);
    [[nodiscard]] bool is_member(const std::string& user, const std::string& space) const;

  private:
    mutable std::mutex lock_; ///< guards all that follows
    end_to_end::http_client http_;
    std::map<std::string, std::string> tokens_;
    std::map<std::string, std::set<std::string>> spaces_; ///< by user
};

} // namespace mana::checker
