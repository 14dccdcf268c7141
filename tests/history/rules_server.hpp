// The rules of shared/sync with memory for a database: one app, and a clock that stands until it is moved.
#pragma once

#include "shared/sync/merge.hpp"
#include "shared/sync/said_once.hpp"
#include "tests/history/server.hpp"

#include <map>
#include <string>
#include <vector>

namespace mana::history {

class rules_server : public server {
  public:
    explicit rules_server(sync::instant start) : now_(start) {}

    std::string push(const caller& who, const std::string& body) override;
    std::string pull(const caller& who, const std::string& table, const std::string& since,
                     bool include_own) override;
    sync::instant now() override { return now_; }
    void pass(std::chrono::milliseconds time) override { now_ += time; }
    std::optional<sync::json_value> held(const std::string& user, const std::string& table,
                                         const std::string& record_id) override;

    /// What stands in the log, beside what the merge makes.
    struct logged_row {
        sync::log_row row;
        sync::json_object data; ///< of `row`, read
        sync::json_object field_meta;
        sync::position at{};
        std::string user;
        std::string client;
    };
    [[nodiscard]] const std::vector<logged_row>& log() const { return log_; }
    /// A record's state as it would be read from its table; null where there is none.
    [[nodiscard]] std::optional<sync::record_state> state(const sync::record_key& key) const;

    /// Spaces that users share, by user; nothing: sharing is off.
    std::optional<std::map<std::string, std::vector<std::string>>> memberships;
    int push_page_rows = 5'000;
    int pull_page_rows = 1'000;

  private:
    /// A record state as its table holds it.
    struct stored_row {
        sync::json_object values;
        sync::json_object meta;
        std::optional<sync::instant> tombstone;
        bool marked = false;
        bool dropped = false;
        bool refused = false;
        std::string home_user;
    };
    struct page_request {
        const caller& who;
        std::string table; ///< empty: all
        sync::cursor since;
        bool include_own = false;
        std::optional<sync::position> own_until; ///< own rows after it are left out whatever the cursor says
        std::optional<sync::position> until;     ///< rows after it are not read
        int rows = 0;
        bool by_slow_clock = false;
    };

    [[nodiscard]] std::optional<std::vector<std::string>> spaces_of(const std::string& user) const;
    [[nodiscard]] std::vector<std::string> scopes_of(const std::string& user) const;
    [[nodiscard]] sync::record_map states_of(const std::vector<sync::change>& changes,
                                             const std::string& user) const;
    void store(const sync::record_key& key, const sync::record_state& state, const std::string& user);
    void append(sync::log_row row, const caller& who);
    [[nodiscard]] sync::answer read(const page_request& wanted, sync::said_once& said) const;
    [[nodiscard]] std::vector<const logged_row*> rows_of(const page_request& wanted, bool& more) const;
    [[nodiscard]] bool is_held_for(const logged_row& row, const caller& who) const;
    [[nodiscard]] std::optional<sync::record_state> state_of(const logged_row& row) const;
    [[nodiscard]] bool is_own(const logged_row& row, const page_request& wanted) const;
    [[nodiscard]] bool is_left_out(const logged_row& row, const page_request& wanted) const;

    sync::instant now_;
    sync::position newest_{};
    std::vector<logged_row> log_;
    std::map<sync::record_key, stored_row> states_;
};

} // namespace mana::history
