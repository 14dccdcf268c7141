#include "tests/checker/outages.hpp"

#include "tests/checker/journal.hpp"

#include <utility>

namespace mana::checker {

outage_log::entry::entry(outage_log& in, std::string kind) : log_(in) {
    const std::lock_guard guard{log_.lock_};
    place_ = log_.outages_.size();
    log_.outages_.push_back({std::move(kind), now(), sync::instant::max()});
}

outage_log::entry::~entry() {
    const std::lock_guard guard{log_.lock_};
    log_.outages_[place_].back = now();
}

std::vector<outage> outage_log::all() const {
    const std::lock_guard guard{lock_};
    return outages_;
}

} // namespace mana::checker
