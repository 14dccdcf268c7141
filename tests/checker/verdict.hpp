// Whether all that hold a record hold the same, and what the claims allow.
#pragma once

#include "tests/checker/database.hpp"
#include "tests/checker/journal.hpp"
#include "tests/checker/outages.hpp"
#include "tests/checker/run.hpp"
#include "tests/checker/told.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mana::checker {

class verdict {
  public:
    /// `kept`: the server's own state; null where it is out of reach. All that is named outlives this.
    verdict(run& of, const outside& services, const journal& book, database* kept, const std::string& app);

    /// When every device has settled. Throws where the server can't be asked.
    void judge();
    /// Whether all devices heard of all commits in time; waits until that can be said. After judge().
    void judge_told(const std::vector<outage>& outages);

    [[nodiscard]] std::size_t comparisons() const { return comparisons_; }
    [[nodiscard]] std::size_t log_rows() const { return log_.size(); }
    [[nodiscard]] std::size_t faults() const { return faults_; }
    /// The records that have faults, in the order in which they were found.
    [[nodiscard]] const std::vector<std::string>& faulty() const { return faulty_; }
    [[nodiscard]] const happenings& happened() const { return happened_; }
    [[nodiscard]] const tellings& told() const { return told_; }
    /// How long after the devices had settled a follower was still told something.
    [[nodiscard]] std::chrono::milliseconds followers_after() const { return followers_after_; }
    /// The first faults, and the story of the first record that has one; lines.
    [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

  private:
    struct holder {
        std::string who;
        sync::json_value record;
    };
    using record_names = std::vector<std::string>;

    [[nodiscard]] record_names shown_to(int user) const;
    [[nodiscard]] record_names hidden_from(int user) const;
    void await_follower(int user, const history::device& fresh,
                        std::chrono::steady_clock::time_point settled);
    void judge_user(int user, const history::device& fresh);
    void judge_record(int user, const std::string& record, const history::device& fresh);
    void judge_claims(const std::string& record, const sync::json_value& held);
    void judge_state(const std::string& record, const std::string& scope, std::vector<holder>& holders);
    void judge_log();
    [[nodiscard]] std::vector<stored_row> stored_rows() const;
    void fault(const std::string& record, const std::string& what);
    void tell_story(const std::string& record, const std::vector<holder>& holders);
    void tell_of_follower(int user, const std::string& record);
    [[nodiscard]] std::string scope_of(int user, const std::string& record) const;
    /// Whether a user, or any, wrote a space's record while no member: what was kept of that for the user
    /// alone is shown to the user's devices beside what the space has.
    [[nodiscard]] bool keeps_its_own(int user, const std::string& record) const;
    [[nodiscard]] bool anyone_keeps_its_own(const std::string& record) const;

    run& run_;
    const outside& services_;
    const journal& book_;
    database* kept_;
    const std::string app_;
    std::multimap<std::string, database::state> states_;
    std::vector<database::log_row> log_;
    std::map<std::string, std::string> space_of_; ///< by record

    std::size_t comparisons_ = 0;
    std::size_t faults_ = 0;
    std::vector<std::string> faulty_;
    std::chrono::milliseconds followers_after_{};
    happenings happened_;
    tellings told_;
    std::vector<std::string> lines_;
    bool story_told_ = false;
    bool follower_told_ = false;
};

} // namespace mana::checker
