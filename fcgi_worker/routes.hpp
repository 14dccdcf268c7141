// Which request goes where, who may, and what every failure becomes: the edge, and the only place that turns
// errors into statuses.
#pragma once

#include "fcgi_worker/call.hpp"
#include "fcgi_worker/fastcgi_request.hpp"
#include "fcgi_worker/pull.hpp"
#include "fcgi_worker/push.hpp"
#include "fcgi_worker/request_rate.hpp"
#include "shared/gate/key_set.hpp"
#include "shared/gate/token_cache.hpp"
#include "shared/gate/user_gate.hpp"
#include "shared/metrics/worker_counters.hpp"
#include "shared/runtime/log.hpp"

#include <chrono>
#include <functional>
#include <string_view>

namespace mana::fcgi_worker {

// Reads the body of the request at hand, once.
using body_reader = std::function<body_result(deadline until)>;

// Where requests of this path are counted, whatever becomes of them.
[[nodiscard]] metrics::route route_of(std::string_view path);

// One a worker. The references stay the caller's and outlive it.
class routes {
  public:
    routes(gate::key_set& keys, request_rate& rate, gate::user_gate& users, store::database& tables,
           push_handler& pushes, metrics::worker_counters& counted, std::chrono::milliseconds patience,
           int page_rows);

    // Always a response, whatever happens: one line is logged for each 5xx. A request that has waited for
    // longer than `patience` is answered 503 untouched, as nobody may be there for the answer; every other
    // one has that long.
    [[nodiscard]] http_response answer(const http_request& request, const body_reader& read_body);

  private:
    [[nodiscard]] http_response dispatch(const http_request& request, const body_reader& read_body);
    [[nodiscard]] http_response failed(const http_request& request, int status, std::string_view reason);

    gate::token_cache tokens_;
    request_rate& rate_;
    gate::user_gate& users_;
    store::database& tables_;
    push_handler& pushes_;
    metrics::worker_counters& counted_;
    const std::chrono::milliseconds patience_;
    const int page_rows_;
    runtime::log::limiter unavailable_{std::chrono::seconds{1}};
};

} // namespace mana::fcgi_worker
