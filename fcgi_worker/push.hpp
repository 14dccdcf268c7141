// POST /sync/{appId}: changes in, the changes of other clients out (SPEC §2 Push).
#pragma once

#include "fcgi_worker/call.hpp"
#include "shared/gate/user_gate.hpp"
#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/log.hpp"
#include "shared/store/database.hpp"
#include "shared/store/publisher.hpp"
#include "shared/store/push_transaction.hpp"
#include "shared/sync/push_request.hpp"

#include <string>
#include <string_view>

namespace mana::fcgi_worker {

// One a worker. `tables`, `announcer` and `counted` stay the caller's and outlive it.
class push_handler {
  public:
    push_handler(gate::user_gate& users, store::database& tables, store::publisher& announcer,
                 metrics::worker_counters& counted, store::push_terms terms);

    // 200, or 400 where the body cannot be read. Throws unavailable, and postgres_error: then the push may
    // have been stored, and its retry is harmless (SPEC §3 rule 3). Whether Redis heard of it makes no
    // difference to the answer.
    [[nodiscard]] http_response handle(const call& made, std::string_view body);

    // After the answer was sent: whether Redis took what it was told. `request_id` is for the log.
    void settle(const std::string& request_id) noexcept;

  private:
    void count(const store::committed_push& done) noexcept;
    void announce(const call& made, const std::string& client, const store::committed_push& done) noexcept;
    void not_told(const std::string& request_id, std::string_view reason) noexcept;

    gate::user_gate& users_;
    store::database& tables_;
    store::publisher& announcer_;
    metrics::worker_counters& counted_;
    const store::push_terms terms_;
    runtime::log::limiter untold_{std::chrono::seconds{10}};
};

} // namespace mana::fcgi_worker
