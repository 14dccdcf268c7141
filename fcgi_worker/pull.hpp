// GET /sync/{appId}/pull: one page of one collection (SPEC §2 Pull).
#pragma once

#include "fcgi_worker/call.hpp"
#include "shared/gate/user_gate.hpp"
#include "shared/store/database.hpp"

namespace mana::fcgi_worker {

// At most `rows` a page. 200, or 400 where the query cannot be read. Throws postgres_error.
[[nodiscard]] http_response pull(const call& made, gate::user_gate& users, store::database& tables, int rows);

} // namespace mana::fcgi_worker
