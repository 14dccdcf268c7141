// A connection that goes while COMMIT is being sent: the push may be stored, so nobody but its client may
// send it again. libpq's PQpipelineSync is this file's here, so that a test decides when it fails.
#include "tests/integration/store_fixture.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <utility>

namespace {

/// What is done after a sync was sent; true: to the program it shall look as if the sending had failed.
thread_local std::function<bool(PGconn*)>
    after_sync; // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

} // namespace

extern "C" int PQpipelineSync(PGconn* conn) {
    using function = int (*)(PGconn*);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "PQpipelineSync"));
    const int sent = real(conn);
    return after_sync && after_sync(conn) ? 0 : sent;
}

namespace mana::tests {
namespace {

using namespace std::chrono_literals;

bool comes_true(const std::function<bool()>& holds) {
    for (const auto until = soon(); std::chrono::steady_clock::now() < until;)
        if (holds()) return true;
    return false;
}

/// Lets the connection go right after the sync that `number` counts to, once `holds`.
class lost_after_sync {
  public:
    lost_after_sync(int number, std::function<bool()> holds) {
        // Of the connection that sends first; `holds` may use others.
        after_sync = [number, seen = 0, watched = static_cast<PGconn*>(nullptr),
                      holds = std::move(holds)](PGconn* conn) mutable {
            if (watched == nullptr) watched = conn;
            if (conn != watched || ++seen != number) return false;
            EXPECT_TRUE(comes_true(holds)) << "what was sent did not come to pass";
            ::shutdown(PQsocket(conn), SHUT_RDWR);
            return true;
        };
    }
    ~lost_after_sync() { after_sync = nullptr; }
    lost_after_sync(const lost_after_sync&) = delete;
    lost_after_sync& operator=(const lost_after_sync&) = delete;
};

TEST(lost_commit, leaves_the_push_in_doubt_so_that_nobody_here_runs_it_again) {
    auto on = connect();
    const device phone{{fresh("ann"), "phone", {}}, "todo"};
    const auto scope = sync::scope_of_user(phone.who.user);
    const auto push = sync::parse_push(R"({"changes":[{"table":"n","id":"1","op":"delete"}]})", "phone", {});
    constexpr int sync_of_commit = 2; // the first one ends the round trip that begins the push
    const lost_after_sync lost{sync_of_commit, [&] { return log_of({scope}, "todo").size() == 1; }};
    try {
        store::run_push(
            on, phone.app, phone.who, *push, {}, [](const store::committed_push&) {}, soon());
        FAIL() << "the connection is there";
    } catch (const store::postgres_error& failed) {
        EXPECT_EQ(failed.next(), store::remedy::in_doubt) << failed.what();
    }
}

} // namespace
} // namespace mana::tests
