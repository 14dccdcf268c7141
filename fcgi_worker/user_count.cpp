#include "fcgi_worker/user_count.hpp"

namespace mana::fcgi_worker {
namespace {

using of_service = gate::user_gate_counts::of_service;

void add_difference(metrics::service_lookups& shared, const of_service& now, const of_service& carried) {
    shared.hits.add(now.hits - carried.hits);
    shared.asked.add(now.asked - carried.asked);
    shared.failed.add(now.failed - carried.failed);
}

} // namespace

void user_count::carry_over() {
    const auto& now = users_.counts();
    add_difference(shared_.billing, now.billing, carried_.billing);
    add_difference(shared_.memberships, now.memberships, carried_.memberships);
    carried_ = now;
}

} // namespace mana::fcgi_worker
