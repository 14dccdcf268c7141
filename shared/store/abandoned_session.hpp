// What becomes of a session whose owner gave up waiting for its answer.
#pragma once

#include <memory>

struct pg_conn;

namespace mana::store {

struct finish_connection {
    void operator()(pg_conn* conn) const;
};
/// A connection of libpq, closed by whoever owns it last.
using owned_session = std::unique_ptr<pg_conn, finish_connection>;

/// Has PostgreSQL cancel what it still does in that session, and closes it. Returns at once: a thread of its
/// own does it, within seconds, or, where PostgreSQL is frozen, when that goes on; it ends with the process
/// at the latest. There is one such thread for each session at most, as a frozen PostgreSQL gives no new
/// ones.
///
/// A client that only closes its connection does not end what runs there: a backend that waits for a
/// synchronous standby, or computes, looks at its connection when it is done. One that waits for a standby
/// has committed by then, and is cancelled in its waiting only: to the client the commit stays in doubt.
void abandon(owned_session session) noexcept;

} // namespace mana::store
