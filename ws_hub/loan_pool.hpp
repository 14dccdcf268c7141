// Things that threads of a pool take turns with, as connections to PostgreSQL: whoever works borrows one, and
// it is back as soon as the loan ends, however that comes.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace mana::hub {

/// Thread-safe. Outlives its loans.
template<class Thing>
class loan_pool {
  public:
    struct give_back {
        loan_pool* from;
        void operator()(Thing* used) const { from->add(std::unique_ptr<Thing>{used}); }
    };
    using loan = std::unique_ptr<Thing, give_back>;

    void add(std::unique_ptr<Thing> thing) {
        const std::lock_guard lock{mutex_};
        idle_.push_back(std::move(thing));
    }

    /// There must be as many things as threads that borrow: nobody waits here.
    [[nodiscard]] loan borrow() {
        const std::lock_guard lock{mutex_};
        loan borrowed{idle_.back().release(), give_back{this}};
        idle_.pop_back();
        return borrowed;
    }

  private:
    std::mutex mutex_; // guards idle_
    std::vector<std::unique_ptr<Thing>> idle_;
};

} // namespace mana::hub
