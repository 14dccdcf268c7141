#include "shared/store/abandoned_session.hpp"

#include <libpq-fe.h>

#include <array>
#include <csignal>
#include <exception>
#include <poll.h>
#include <thread>
#include <utility>

namespace mana::store {

namespace {

constexpr int ends_within = 1'000; // milliseconds

struct free_cancel {
    void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

/// PgBouncer hands a cancel on only while the client that it is for is there: so the session is closed when
/// its answer has come, or a moment later.
void cancel_and_close(const owned_session& session) {
    const std::unique_ptr<PGcancel, free_cancel> cancel{PQgetCancel(session.get())};
    std::array<char, 256> ignored{};
    if (!cancel || PQcancel(cancel.get(), ignored.data(), static_cast<int>(ignored.size())) != 1) return;
    pollfd answer{PQsocket(session.get()), POLLIN, 0};
    ::poll(&answer, 1, ends_within);
}

/// The process's signals are for its other threads.
class without_signals {
  public:
    without_signals() {
        sigset_t all{};
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~without_signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    without_signals(const without_signals&) = delete;
    without_signals& operator=(const without_signals&) = delete;

  private:
    sigset_t before_{};
};

} // namespace

void finish_connection::operator()(pg_conn* conn) const {
    PQfinish(conn);
}

void abandon(owned_session session) noexcept {
    try {
        const without_signals masked; // which the new thread inherits
        std::thread{[session = std::move(session)]() mutable {
            cancel_and_close(session);
            session.reset();
        }}.detach();
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): no thread, no memory; it was closed
    }
}

} // namespace mana::store
