// Which users may sync, and which spaces they share (SPEC §6): asked of billing and memberships, and kept for
// a while for all workers and hubs together.
#pragma once

#include "shared/gate/user_service.hpp"
#include "shared/store/database.hpp"
#include "shared/store/user_standing.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace mana::gate {

struct user_gate_settings {
    std::string credits_url;
    std::string auth_url; // empty: spaces are not shared
    std::string service_key;
    std::chrono::milliseconds kept{std::chrono::minutes{5}}; // how long an answer is as good as a new one
    std::chrono::hours
        spaces_stale{}; // how long the last known memberships serve while no new ones can be had
    std::size_t spaces_at_most = 200; // of one user; the first ones in the order of their ids count
};

// How it was used since it was made: numbers that only grow.
struct user_gate_counts {
    struct of_service {
        std::uint64_t hits = 0;   // known here or in PostgreSQL
        std::uint64_t asked = 0;  // the service said so
        std::uint64_t failed = 0; // it did not
    };
    of_service billing;
    of_service memberships;
};

// The answers about one user. Not thread-safe: one a thread, made after fork(). It asks PostgreSQL before a
// service, and waits for either: see user_service for how long. Throws postgres_error.
class user_gate {
  public:
    using clock = user_service::clock;
    explicit user_gate(user_gate_settings settings);

    // How long a user whom billing calls inactive is refused without another question, unless all answers
    // are kept for less: who has just paid goes on soon. A client is told to come again after it.
    static constexpr std::chrono::seconds inactive_kept{30};

    // Statements that it uses, for the connection to prepare.
    [[nodiscard]] static std::span<const store::statement> statements() {
        return store::user_standing_statements();
    }

    // False only where billing says so. A user whom it does not know may sync, and so may everyone while it
    // cannot be asked.
    bool may_sync(const std::string& user, store::database& tables, store::deadline until);

    [[nodiscard]] bool spaces_shared() const { return memberships_.has_value(); }

    // The spaces that the user is a member of, sorted: none where memberships know no such user, and never
    // did. Nothing where that is not known: memberships cannot be asked, or say nothing usable about this
    // user, and the last that was heard is too old.
    std::optional<std::vector<std::string>> spaces_of(const std::string& user, store::database& tables,
                                                      store::deadline until);

    // The same by a look-up that begins now. Nothing where memberships cannot be asked, or said nothing
    // usable about this user a moment ago.
    std::optional<std::vector<std::string>> look_up_spaces(const std::string& user, store::database& tables,
                                                           store::deadline until);

    [[nodiscard]] const user_gate_counts& counts() const { return counts_; }

  private:
    struct known {
        std::optional<bool> active;
        clock::time_point active_until{};
        std::optional<std::vector<std::string>> spaces;
        clock::time_point spaces_until{};
        clock::time_point spaces_asked_from{}; // not before, as the last answer was of no use
    };
    static constexpr std::size_t users_at_most = 10'000;
    static constexpr std::size_t first_clean_up = 256; // users

    const user_gate_settings settings_;
    user_service billing_;
    std::optional<user_service> memberships_;
    std::unordered_map<std::string, known> users_;
    std::size_t clean_up_at_ = first_clean_up; // users
    user_gate_counts counts_;

    known& entry_of(const std::string& user);
    [[nodiscard]] std::chrono::milliseconds kept_for(bool active) const;
    void forget_outdated();
    store::user_standing read_standing(const std::string& user, known& entry, store::database& tables,
                                       store::deadline until);
    bool ask_billing(const std::string& user, known& entry, store::database& tables, store::deadline until);
    std::optional<std::vector<std::string>> ask_memberships(const std::string& user, known& entry,
                                                            store::database& tables, store::deadline until);
    bool was_in_spaces(const std::string& user, store::database& tables, store::deadline until);
};

} // namespace mana::gate
