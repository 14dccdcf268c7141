#include "fcgi_worker/key_count.hpp"

namespace mana::fcgi_worker {

void key_count::carry_over() {
    const auto now = keys_.counts();
    shared_.key_hits.add(now.hits - carried_.hits);
    shared_.key_misses.add(now.misses - carried_.misses);
    shared_.keys_fetched.add(now.fetched - carried_.fetched);
    shared_.keys_failed.add(now.failed - carried_.failed);
    carried_ = now;
}

} // namespace mana::fcgi_worker
