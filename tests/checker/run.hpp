// A plan carried out: its devices and programs at work on several threads, each used by one at a time,
// followers listening, members coming and going; and then quiet, until nothing changes any more.
#pragma once

#include "tests/checker/follower.hpp"
#include "tests/checker/link.hpp"
#include "tests/checker/listener.hpp"
#include "tests/checker/outside.hpp"
#include "tests/checker/plan.hpp"
#include "tests/checker/told.hpp"
#include "tests/history/device.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace mana::checker {

class run {
  public:
    /// `prefix` keeps the names of users and spaces apart from those of other runs. All that is named
    /// outlives this.
    run(const plan& what, link_means& means, outside& services, std::string prefix);
    ~run();
    run(const run&) = delete;
    run& operator=(const run&) = delete;

    /// Carries the plan out. Throws what a device's work threw.
    void carry_out(int threads);
    /// Syncs every device until nothing changes. Throws std::runtime_error where that does not come about.
    void settle(int threads);
    /// Whether a device's cursor stays before rows that it is to be shown again; and, once they are due, has
    /// them shown.
    [[nodiscard]] bool any_is_held_back() const;
    void settle_held(int threads);

    /// Changes so far, and whether the plan is carried out. Thread-safe.
    [[nodiscard]] int made() const { return made_; }
    [[nodiscard]] bool over() const { return over_; }

    /// So many changes are made before the devices wait for a higher limit. Thread-safe.
    void limit(int changes) { limit_ = changes; }

    struct counts {
        std::atomic<int> duplicates{0};
        std::atomic<int> lost_answers{0};
        std::atomic<int> wipes{0};
        std::atomic<int> membership_changes{0};
    };
    [[nodiscard]] const counts& counted() const { return counts_; }

    // For the verdict, when all is quiet.
    [[nodiscard]] std::string user_name(int user) const { return prefix_ + "-u" + std::to_string(user); }
    [[nodiscard]] std::string space_name(int space) const { return prefix_ + "-s" + std::to_string(space); }
    [[nodiscard]] const plan& planned() const { return plan_; }
    [[nodiscard]] std::vector<const history::device*> devices_of(int user) const;
    [[nodiscard]] const follower& follower_of(int user) const { return *followers_.at(user); }
    [[nodiscard]] const listeners& listening() const { return *listeners_; }
    /// Who was a member of which space when, by the services outside.
    [[nodiscard]] const std::vector<membership>& memberships() const { return memberships_; }
    /// The changes that name their commits, stored or not.
    [[nodiscard]] std::vector<stored_row> naming_changes() const;
    /// A device that the user has not had before.
    struct guest {
        std::unique_ptr<link> way;
        std::unique_ptr<history::device> store;
    };
    [[nodiscard]] guest make_guest(int user, const std::string& client);

  private:
    struct actor {
        const schedule* planned = nullptr;
        history::caller who;
        std::unique_ptr<link> way;
        std::unique_ptr<link> second_way; ///< for what is sent twice at once
        std::optional<history::device> store;
        std::size_t next = 0;
        std::chrono::milliseconds skew{};
        int changes = 0;                ///< of a program
        std::vector<stored_row> naming; ///< of them, those that name their commits
    };

    void add_actor(const schedule& planned);
    [[nodiscard]] history::extras extras_of_devices() const;
    void work();
    void slice(actor& of);
    void perform(actor& of, const step& next);
    void write(actor& of, const step& next) const;
    void change(actor& of, const step& next) const;
    void exchange(actor& of, act what);
    void push_twice(actor& of);
    void push_as_program(actor& of, const step& next);
    [[nodiscard]] sync::json_value naming_change(actor& of, const std::string& space);
    void change_memberships();
    void note_membership(const membership_change& one, sync::instant before);
    void for_each_device(int threads, const std::function<void(actor&)>& work);
    [[nodiscard]] std::string held_by(const actor& of) const;
    void note_failure();

    const plan& plan_;
    link_means& means_;
    outside& services_;
    const std::string prefix_;
    const std::map<std::string, std::string> space_of_record_;
    std::vector<std::unique_ptr<actor>> actors_;
    std::map<int, std::unique_ptr<follower>> followers_; ///< by user
    std::unique_ptr<listeners> listeners_;               ///< all devices
    std::atomic<unsigned> named_{0};
    counts counts_;
    std::atomic<int> made_{0};
    std::atomic<int> limit_{std::numeric_limits<int>::max()};
    std::atomic<bool> over_{false};

    std::mutex lock_; ///< guards what follows
    std::condition_variable woken_;
    std::deque<actor*> waiting_;
    std::size_t unfinished_ = 0;
    std::exception_ptr failure_;

    std::mutex membership_lock_; ///< guards what follows
    std::size_t next_membership_ = 0;
    std::vector<membership> memberships_;
    std::chrono::steady_clock::time_point last_membership_;
};

} // namespace mana::checker
