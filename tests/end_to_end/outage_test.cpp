// Parts that are away, frozen or wrong: an answer comes soon, and says to try again.

#include "shared/runtime/unique_fd.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// Accepts connections, as the kernel does for a process that is stopped, and says nothing on them.
class frozen_peer {
  public:
    explicit frozen_peer(const std::string& path) : fd_{::socket(AF_UNIX, SOCK_STREAM, 0)} {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(fd_.get(), 64), 0);
    }

  private:
    runtime::unique_fd fd_;
};

class outage : public testing::Test {
  protected:
    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
    const std::string token = token_of(fresh("user"));

    [[nodiscard]] std::string database_in_folder() const {
        return "postgresql://mana@/mana_sync?host=" + folder.file("");
    }
    // With a name by which PostgreSQL knows this worker's connection from all others.
    void name_connection(const std::string& name) {
        auto& url = settings["DATABASE_URL"];
        url += (url.find('?') == std::string::npos ? "?application_name=" : "&application_name=") + name;
    }
    fastcgi_reply push() {
        return ask(
            settings["WORKER_SOCKET"], "POST", "/sync/todo", token,
            json::serialize(json::object{
                {"since", ""}, {"changes", json::array{insert_of("t1", {{"n", 1}}, time_from_now())}}}));
    }
    fastcgi_reply pull() {
        return ask(settings["WORKER_SOCKET"], "GET", "/sync/todo/pull", token, "",
                   {{"QUERY_STRING", "collection=tasks&since="}});
    }
};

void expect_unavailable(const fastcgi_reply& reply) {
    EXPECT_EQ(reply.status, 503) << reply.body;
    ASSERT_TRUE(reply.headers.contains("Retry-After"));
    EXPECT_EQ(reply.headers.at("Retry-After"), "1");
    EXPECT_EQ(json::parse(reply.body).at("error"), "unavailable");
}

// ---- PostgreSQL ----

TEST_F(outage, without_postgresql_the_answer_is_503_at_once) {
    settings["DATABASE_URL"] = database_in_folder();
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto began = clock::now();
    expect_unavailable(push());
    expect_unavailable(pull());
    EXPECT_LT(clock::now() - began, 2s);
    EXPECT_TRUE(master.logs("event=database_unavailable"));
    EXPECT_EQ(master.workers().size(), 1U);
}

TEST_F(outage, a_frozen_postgresql_costs_a_request_its_deadline_at_most) {
    settings["DATABASE_URL"] = database_in_folder();
    const frozen_peer postgresql{folder.file(".s.PGSQL.5432")};
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    auto began = clock::now();
    expect_unavailable(push());
    EXPECT_LT(clock::now() - began, 6s);
    began = clock::now();
    expect_unavailable(pull());
    EXPECT_LT(clock::now() - began, 500ms) << "the next request waited for a connection that had just failed";
}

struct finish_connection {
    void operator()(PGconn* conn) const { PQfinish(conn); }
};
struct clear_result {
    void operator()(PGresult* result) const { PQclear(result); }
};

// How many connections of that name PostgreSQL had and cut.
int cut_connections(const std::string& name) {
    const std::unique_ptr<PGconn, finish_connection> conn{
        PQconnectdb(required_environment("MANA_TEST_DATABASE_URL").c_str())};
    const char* const values[] = {name.c_str()};
    const std::unique_ptr<PGresult, clear_result> result{PQexecParams(
        conn.get(),
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = $1", 1,
        nullptr, values, nullptr, nullptr, 0)};
    return PQntuples(result.get());
}

TEST_F(outage, a_connection_that_was_cut_while_idle_is_made_again_unnoticed) {
    const auto name = fresh("cut");
    name_connection(name);
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push().status, 200);
    for (int restart = 0; restart < 3; ++restart) {
        ASSERT_EQ(cut_connections(name), 1);
        EXPECT_EQ(pull().status, 200);
        ASSERT_EQ(cut_connections(name), 1);
        EXPECT_EQ(push().status, 200);
    }
    EXPECT_FALSE(master.logs("request_unavailable")) << master.log();
}

TEST_F(outage, a_role_that_row_level_security_does_not_bind_is_refused) {
    const char* const superuser = std::getenv("MANA_TEST_SUPERUSER_URL"); // NOLINT(concurrency-mt-unsafe)
    if (superuser == nullptr) GTEST_SKIP() << "MANA_TEST_SUPERUSER_URL is not set";
    settings["DATABASE_URL"] = superuser;
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    expect_unavailable(push());
    expect_unavailable(pull());
    EXPECT_TRUE(master.logs("BYPASSRLS")) << master.log();
}

// ---- Redis ----

TEST_F(outage, without_redis_a_push_succeeds) {
    settings["REDIS_URL"] = "unix://" + folder.file("redis.sock");
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(push().status, 200);
    EXPECT_TRUE(await([&] { return master.logs("event=redis_not_told"); }));
    EXPECT_EQ(json::parse(pull().body).at("serverChanges").as_array().size(), 1U);
}

TEST_F(outage, a_frozen_redis_delays_a_push_by_little) {
    settings["REDIS_URL"] = "unix://" + folder.file("redis.sock");
    const frozen_peer redis{folder.file("redis.sock")};
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto began = clock::now();
    EXPECT_EQ(push().status, 200);
    EXPECT_LT(clock::now() - began, 3s);
}

// ---- the keys ----

TEST_F(outage, without_keys_nobody_can_be_let_in_or_refused) {
    settings["JWKS_URL"] = "http://127.0.0.1:1/jwks";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    expect_unavailable(push());
    EXPECT_EQ(ask(master.socket(), "POST", "/sync/todo", "", "{}").status, 401) << "no token needs no key";
}

} // namespace
} // namespace mana::end_to_end
