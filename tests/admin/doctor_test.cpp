// doctor and status: a healthy stack, and each part away.
#include "tests/admin/admin_program.hpp"
#include "tests/end_to_end/absent_standby.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/end_to_end/own_parts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>

namespace mana::tests {
namespace {

using end_to_end::device;
using end_to_end::fresh;
using end_to_end::insert_of;
using end_to_end::time_from_now;
using end_to_end::token_of;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// The line about a part.
std::string line_about(const std::string& part, const std::string& report) {
    std::istringstream lines{report};
    for (std::string line; std::getline(lines, line);)
        if (line.size() > 9 && line.compare(9, part.size() + 1, part + ' ') == 0) return line;
    return "no line about " + part + " in:\n" + report;
}

// One line, and nothing else that failed.
void expect_failed(const finished& done, const std::string& part, const std::string& why) {
    EXPECT_EQ(done.status, 1);
    const auto line = line_about(part, done.out);
    EXPECT_THAT(line, StartsWith("FAILED"));
    EXPECT_THAT(line, HasSubstr(why));
    EXPECT_THAT(line, HasSubstr(". To do: "));
    EXPECT_EQ(done.out.find("FAILED"), done.out.rfind("FAILED")) << done.out;
}

std::string stack(const char* variable) {
    return end_to_end::required_environment(variable);
}

TEST(doctor, finds_nothing_wrong_with_a_healthy_stack) {
    const auto done = run_admin({"doctor"});
    EXPECT_EQ(done.status, 0) << done.out << done.err;
    EXPECT_THAT(done.out, Not(HasSubstr("FAILED")));
    EXPECT_THAT(done.out, Not(HasSubstr("\x1b")));
    for (const char* const part :
         {"postgresql", "role", "migrations", "row-level security", "connections", "redis", "role of redis",
          "stream", "entries of the stream", "channels of redis", "keys of tokens", "billing", "memberships",
          "hub", "nginx", "large push", "CORS"})
        EXPECT_THAT(line_about(part, done.out), StartsWith("ok ")) << part;
    EXPECT_EQ(done.err, "");
}

TEST(doctor, goes_on_where_redis_is_away) {
    const auto done = run_admin({"doctor"}, {{"REDIS_URL", "redis://127.0.0.1:1"}});
    expect_failed(done, "redis", "Connection refused");
    EXPECT_THAT(line_about("CORS", done.out), StartsWith("ok "));
}

TEST(doctor, tells_of_a_redis_that_takes_no_entries) {
    const end_to_end::scratch_folder folder;
    end_to_end::own_redis redis{folder, "redis"};
    const variables there{{"REDIS_URL", redis.url()}};
    EXPECT_EQ(run_admin({"doctor"}, there).status, 0);
    redis.ask({"CONFIG", "SET", "maxmemory", "1"});
    expect_failed(run_admin({"doctor"}, there), "entries of the stream", "OOM");
    redis.ask({"CONFIG", "SET", "maxmemory", "0"});
    redis.ask({"ACL", "SETUSER", "default", "-xadd"});
    expect_failed(run_admin({"doctor"}, there), "entries of the stream", "NOPERM");
    redis.ask({"ACL", "SETUSER", "default", "+xadd", "resetchannels"});
    expect_failed(run_admin({"doctor"}, there), "channels of redis", "NOPERM");
    EXPECT_TRUE(redis.stream().empty());
}

TEST(doctor, tells_of_a_redis_that_is_a_replica) {
    const end_to_end::scratch_folder folder;
    end_to_end::own_redis redis{folder, "redis"};
    redis.ask({"REPLICAOF", "127.0.0.1", "1"});
    const auto done = run_admin({"doctor"}, {{"REDIS_URL", redis.url()}});
    EXPECT_EQ(done.status, 1);
    EXPECT_THAT(line_about("role of redis", done.out), StartsWith("FAILED"));
    EXPECT_THAT(line_about("entries of the stream", done.out), HasSubstr("READONLY"));
}

TEST(doctor, goes_on_where_postgresql_is_away) {
    const auto done = run_admin({"doctor"}, {{"DATABASE_URL", "postgresql://mana@127.0.0.1:1/mana_sync"}});
    expect_failed(done, "postgresql", "Connection refused");
    EXPECT_THAT(line_about("redis", done.out), StartsWith("ok "));
}

TEST(doctor, goes_on_where_the_services_around_are_away) {
    const std::string nobody = "http://127.0.0.1:1";
    expect_failed(run_admin({"doctor"}, {{"JWKS_URL", nobody + "/jwks"}}), "keys of tokens", "onnect");
    expect_failed(run_admin({"doctor"}, {{"MANA_CREDITS_URL", nobody}}), "billing", "onnect");
    expect_failed(run_admin({"doctor"}, {{"MANA_AUTH_URL", nobody}}), "memberships", "onnect");
    expect_failed(run_admin({"doctor"}, {{"JWKS_URL", stack("MANA_TEST_IDENTITY_URL") + "/control"}}),
                  "keys of tokens", "");
}

TEST(doctor, tells_of_a_service_key_that_is_refused) {
    const auto done = run_admin({"doctor"}, {{"MANA_SERVICE_KEY", "another"}});
    EXPECT_EQ(done.status, 1);
    EXPECT_THAT(line_about("billing", done.out), HasSubstr("correct MANA_SERVICE_KEY"));
    EXPECT_THAT(line_about("memberships", done.out), HasSubstr("correct MANA_SERVICE_KEY"));
}

TEST(doctor, doubts_that_a_404_which_is_no_json_comes_from_the_service) {
    end_to_end::http_client identity{stack("MANA_TEST_IDENTITY_URL")};
    identity.post("/control", R"({"fail_user":{"billing":{"mana-sync-admin-doctor":"no route"}}})");
    const auto of_a_proxy = run_admin({"doctor"});
    identity.post("/control", R"({"fail_user":{"billing":{"mana-sync-admin-doctor":404}}})");
    const auto of_the_service = run_admin({"doctor"});
    identity.post("/control", R"({"fail_user":{"billing":{}}})");
    EXPECT_THAT(line_about("billing", of_a_proxy.out), StartsWith("warning"));
    EXPECT_THAT(line_about("billing", of_the_service.out), StartsWith("ok "));
}

TEST(doctor, goes_on_where_nginx_or_a_socket_is_away) {
    const auto no_nginx = run_admin({"doctor", "--url", "http://127.0.0.1:1"});
    EXPECT_EQ(no_nginx.status, 1);
    EXPECT_THAT(line_about("nginx", no_nginx.out), HasSubstr("onnect"));
    EXPECT_THAT(line_about("large push", no_nginx.out), StartsWith("skipped"));
    expect_failed(run_admin({"doctor"}, {{"WORKER_SOCKET", "/nowhere/worker.sock"}}), "socket of workers",
                  "No such file");
}

// The identity service answers every path, and is no worker.
TEST(doctor, tells_nginx_from_another_server) {
    const auto done = run_admin({"doctor", "--url", stack("MANA_TEST_IDENTITY_URL")});
    EXPECT_EQ(done.status, 1);
    EXPECT_THAT(line_about("nginx", done.out), HasSubstr("answers 404"));
    EXPECT_THAT(line_about("push through nginx", done.out), HasSubstr(", not 401 of a worker"));
}

TEST(doctor, tells_of_origins_that_nginx_does_not_know) {
    expect_failed(run_admin({"doctor"}, {{"CORS_ORIGINS", "https://unknown.example.org"}}), "CORS",
                  "no Access-Control-Allow-Origin");
}

TEST(doctor, tells_of_a_role_that_row_level_security_does_not_bind) {
    const auto owner = run_admin({"doctor"}, {{"DATABASE_URL", stack("MANA_TEST_OWNER_URL")}});
    EXPECT_EQ(owner.status, 1);
    EXPECT_THAT(line_about("role", owner.out), HasSubstr("owns tables"));
    const auto superuser = run_admin({"doctor"}, {{"DATABASE_URL", stack("MANA_TEST_SUPERUSER_URL")}});
    EXPECT_EQ(superuser.status, 1);
    EXPECT_THAT(line_about("role", superuser.out), HasSubstr("is a superuser"));
}

TEST(doctor, tells_of_migrations_that_are_not_applied) {
    const scratch folder;
    (void)folder.write("9999_next.sql", "");
    const auto done = run_admin({"doctor", "--sql-dir", folder.file("")});
    expect_failed(done, "migrations", "9999_next not applied");
}

TEST(doctor, names_a_synchronous_standby_that_is_gone) {
    EXPECT_THAT(line_about("synchronous standby", run_admin({"doctor"}).out), StartsWith("ok "));
    const end_to_end::absent_standby gone;
    const auto done = run_admin({"doctor"});
    expect_failed(done, "synchronous standby",
                  "synchronous_standby_names asks for one, and none is connected");
}

class open_table {
  public:
    open_table() { boss_.run("alter table sync_published disable row level security"); }
    ~open_table() { boss_.run("alter table sync_published enable row level security"); }
    open_table(const open_table&) = delete;
    open_table& operator=(const open_table&) = delete;

  private:
    superuser boss_;
};

TEST(doctor, tells_of_a_table_whose_row_level_security_is_off) {
    const open_table opened;
    expect_failed(run_admin({"doctor"}), "row-level security", "for sync_published");
}

// No hub publishes while this holds the lock that they take turns with.
TEST(doctor, tells_of_a_push_that_redis_did_not_hear_of) {
    superuser boss;
    const auto user = fresh("user");
    device phone{token_of(user), "phone"};
    // Of several, the one that was committed first is told of.
    ASSERT_TRUE(end_to_end::await([&] { return boss.run("select oldest_unpublished() = 0").boolean(0, 0); }));
    boss.run("select pg_advisory_lock(7161703)");
    ASSERT_EQ(phone.push({insert_of("t1", {{"n", 1}}, time_from_now())}).status, 200);
    boss.run("update sync_pushes set newest = newest - interval '20 minutes' where user_id = $1", {user});
    const auto done = run_admin({"doctor"});
    boss.run("delete from sync_pushes where user_id = $1", {user});
    expect_failed(done, "pushes not told", "20 min ago");
}

// A lock on one waiting row keeps the hub from taking it up.
TEST(doctor, tells_of_rows_of_other_programs_that_wait) {
    superuser boss;
    const auto user = fresh("user");
    boss.run("begin");
    boss.run("lock table sync_old_rows in access exclusive mode");
    superuser{}.run(
        "insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id, created_at) "
        "values ('a', 't', 'r', $1, 'update', '{}', 'c', now() - interval '3 minutes')",
        {user});
    const auto done = run_admin({"doctor"});
    boss.run("rollback");
    const auto line = line_about("rows of others", done.out);
    EXPECT_THAT(line, StartsWith("warning"));
    EXPECT_THAT(line, HasSubstr("the oldest for 3 min"));
    EXPECT_EQ(done.status, 0) << done.out;
}

TEST(status, tells_how_much_there_is) {
    const auto user = fresh("user");
    device phone{token_of(user), "phone"};
    const auto reply = phone.push({insert_of("t1", {{"n", 1}}, time_from_now())});
    ASSERT_EQ(reply.status, 200);
    const auto done = run_admin({"status"});
    EXPECT_EQ(done.status, 0) << done.out << done.err;
    for (const char* const part : {"migrations ", "rows of the log ", "records ", "lost writes ",
                                   "last hour ", "Redis was told ", "hub ", "last push "})
        EXPECT_THAT(done.out, HasSubstr(part));
    EXPECT_THAT(done.out, HasSubstr(end_to_end::synced_until(reply.json())));
    EXPECT_THAT(done.out, Not(HasSubstr(user)));
}

TEST(status, tells_what_it_can_where_a_part_is_away) {
    const auto done = run_admin({"status"}, {{"DATABASE_URL", "postgresql://mana@127.0.0.1:1/mana_sync"}});
    EXPECT_EQ(done.status, 1);
    EXPECT_THAT(done.out, HasSubstr("Connection refused"));
    EXPECT_THAT(done.out, HasSubstr("last push "));
}

} // namespace
} // namespace mana::tests
