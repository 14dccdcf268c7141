// The prefork master and its workers as processes: what dies is replaced, what ends ends gracefully.

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/prefork_fixture.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/stat.h>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

int occurrences(const std::string& text, std::string_view word) {
    int count = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

class prefork : public testing::Test {
  protected:
    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
};

// ---- the socket ----

TEST_F(prefork, the_socket_is_for_owner_and_group_only) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    struct stat found {};
    ASSERT_EQ(::stat(master.socket().c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 0777U, 0660U);
}

TEST_F(prefork, a_socket_that_nobody_listens_on_is_replaced) {
    listen_at(settings["WORKER_SOCKET"]).reset();
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(status_of_any_request(master.socket()), 401);
}

TEST_F(prefork, a_socket_in_use_is_left_alone_and_said_in_one_line) {
    worker_process first{folder, settings};
    ASSERT_TRUE(first.await_ready());
    worker_process second{folder, settings};
    EXPECT_EQ(second.await_end(), 1);
    EXPECT_TRUE(second.logs("WORKER_SOCKET: " + first.socket() + ": is in use"));
    const auto said = second.log();
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
    EXPECT_EQ(status_of_any_request(first.socket()), 401);
}

TEST_F(prefork, a_file_that_is_no_socket_is_left_alone) {
    std::ofstream{settings["WORKER_SOCKET"]} << "precious";
    worker_process master{folder, settings};
    EXPECT_EQ(master.await_end(), 1);
    EXPECT_TRUE(master.logs("is no socket"));
}

TEST_F(prefork, the_socket_of_systemd_is_taken_and_not_removed) {
    const std::string path = folder.file("systemd.sock");
    const auto given = listen_at(path);
    worker_process master{folder, settings, given.get()};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(status_of_any_request(path), 401);
    master.signal(SIGTERM);
    EXPECT_EQ(master.await_end(), 0);
    EXPECT_TRUE(std::filesystem::exists(path));
}

// ---- workers that die ----

TEST_F(prefork, a_worker_that_is_killed_is_replaced) {
    worker_process master{folder, with(settings, "WORKERS", "2")};
    ASSERT_TRUE(master.await_ready(2));
    const pid_t victim = master.workers().front();
    ::kill(victim, SIGKILL);
    EXPECT_TRUE(await([&] {
        const auto now = master.workers();
        return now.size() == 2 && std::ranges::find(now, victim) == now.end();
    }));
    EXPECT_EQ(status_of_any_request(master.socket()), 401);
}

// Else whoever finds a request that ends a worker has everybody wait for the next ones.
TEST_F(prefork, a_worker_that_has_served_is_replaced_without_a_pause) {
    worker_process master{folder, settings};
    constexpr int deaths = 6; // with growing pauses the last would take 3 s
    clock::duration longest{};
    for (int i = 0; i < deaths; ++i) {
        ASSERT_TRUE(master.await_ready());
        ASSERT_EQ(status_of_any_request(master.socket()), 401);
        const auto died = clock::now();
        ::kill(master.workers().front(), SIGKILL);
        ASSERT_EQ(status_of_any_request(master.socket()), 401);
        longest = std::max(longest, clock::now() - died);
    }
    EXPECT_LT(longest, 2s);
    EXPECT_FALSE(master.logs("worker_died_at_once")) << master.log();
}

TEST_F(prefork, a_worker_that_dies_before_it_serves_is_restarted_with_growing_pauses) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const rlimit too_few{8, 8};
    ASSERT_EQ(::prlimit(master.pid(), RLIMIT_NOFILE, &too_few, nullptr), 0); // which its workers inherit
    ::kill(master.workers().front(), SIGKILL);
    const auto failures = [&] { return occurrences(master.log(), "worker_failed"); };
    ASSERT_TRUE(await([&] { return failures() >= 3; })) << master.log();
    const auto third = clock::now();
    ASSERT_TRUE(await([&] { return failures() >= 6; })) << master.log();
    EXPECT_GE(clock::now() - third, 1500ms) << "100, 200, 400, 800, 1,600 ms";
    EXPECT_EQ(occurrences(master.log(), "worker_died_at_once"), 1) << "told more than once";
}

// ---- the end ----

TEST_F(prefork, an_idle_master_ends_at_once_and_removes_its_socket) {
    worker_process master{folder, with(settings, "WORKERS", "3")};
    ASSERT_TRUE(master.await_ready(3));
    const auto began = clock::now();
    master.signal(SIGTERM);
    EXPECT_EQ(master.await_end(), 0);
    EXPECT_LT(clock::now() - began, 2s);
    EXPECT_FALSE(std::filesystem::exists(master.socket()));
}

TEST_F(prefork, a_request_in_flight_is_answered_before_the_end) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    push_in_flight push{master.socket()};
    master.signal(SIGTERM);
    ASSERT_TRUE(await([&] { return master.logs("event=stopping"); }));
    EXPECT_FALSE(master.ended());
    EXPECT_EQ(push.finish().status, 200);
    EXPECT_EQ(master.await_end(), 0);
}

TEST_F(prefork, a_worker_ends_when_its_master_is_killed) {
    worker_process master{folder, with(settings, "WORKERS", "2")};
    ASSERT_TRUE(master.await_ready(2));
    const auto orphans = master.workers();
    master.signal(SIGKILL);
    EXPECT_EQ(master.await_end(), -SIGKILL);
    EXPECT_TRUE(await([&] { return std::ranges::none_of(orphans, is_alive); }));
}

// ---- SIGHUP ----

TEST_F(prefork, recycling_replaces_every_worker_and_loses_no_request) {
    worker_process master{folder, with(settings, "WORKERS", "3")};
    ASSERT_TRUE(master.await_ready(3));
    for (int round = 0; round < 10; ++round) {
        const auto before = master.workers();
        master.signal(SIGHUP);
        int answered = 0;
        const bool replaced = await([&] {
            EXPECT_EQ(status_of_any_request(master.socket()), 401);
            ++answered;
            const auto now = master.workers();
            return answered >= 50 && now.size() == 3 && std::ranges::none_of(before, is_alive);
        });
        ASSERT_TRUE(replaced) << master.log();
    }
}

TEST_F(prefork, recycling_lets_a_request_in_flight_finish) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    push_in_flight push{master.socket()};
    // The new worker serves while the old one still waits for its request.
    ASSERT_TRUE(await([&] {
        master.signal(SIGHUP);
        return master.workers().size() == 2;
    }));
    EXPECT_EQ(status_of_any_request(master.socket()), 401);
    EXPECT_EQ(push.finish().status, 200);
    EXPECT_TRUE(await([&] { return master.workers().size() == 1; }));
}

// ---- requests that are not as they should be ----

TEST_F(prefork, a_body_shorter_than_announced_is_refused) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    fastcgi_request request{master.socket()};
    request.send_head({{"REQUEST_METHOD", "POST"},
                       {"DOCUMENT_URI", "/sync/todo"},
                       {"HTTP_AUTHORIZATION", "Bearer " + token_of(fresh("user"))},
                       {"CONTENT_LENGTH", "100"}});
    request.send_body("{}");
    request.end_body();
    EXPECT_EQ(request.receive().status, 400);
}

TEST_F(prefork, a_length_beyond_the_limit_is_refused_unread) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto token = token_of(fresh("user"));
    for (const char* const length : {"10485761", "99999999999999999999999999"}) {
        fastcgi_request request{master.socket()};
        request.send_head({{"REQUEST_METHOD", "POST"},
                           {"DOCUMENT_URI", "/sync/todo"},
                           {"HTTP_AUTHORIZATION", "Bearer " + token},
                           {"CONTENT_LENGTH", length}});
        request.end_body();
        EXPECT_EQ(request.receive().status, 413) << length;
    }
}

TEST_F(prefork, a_request_that_has_waited_too_long_is_not_touched) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto minute_ago = std::chrono::system_clock::now().time_since_epoch() - 60s;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(minute_ago).count();
    const auto token = token_of(fresh("user"));
    const auto push = json::serialize(json::object{
        {"since", ""}, {"changes", json::array{insert_of("t1", {{"n", 1}}, time_from_now(-1s))}}});
    const auto stored = [&] {
        const auto page = ask(master.socket(), "GET", "/sync/todo/pull", token, "",
                              {{"QUERY_STRING", "collection=tasks&since="}});
        return json::parse(page.body).at("serverChanges").as_array().size();
    };
    const auto reply = ask(master.socket(), "POST", "/sync/todo", token, push,
                           {{"REQUEST_START", std::to_string(seconds) + ".123"}});
    EXPECT_EQ(reply.status, 503);
    EXPECT_EQ(reply.headers.at("Retry-After"), "1");
    EXPECT_EQ(stored(), 0U);
    EXPECT_EQ(ask(master.socket(), "POST", "/sync/todo", token, push).status, 200);
    EXPECT_EQ(stored(), 1U) << "the same push in time";
}

// libfcgi itself would wait for the rest for ever.
TEST_F(prefork, half_a_request_holds_a_worker_for_a_moment_only) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const std::string half_a_record{"\1\1\0\1\0", 5};
    const std::string record_without_its_parameters{"\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0", 16};
    const std::string half_of_the_parameters =
        record_without_its_parameters + std::string{"\1\4\0\1\0\100\0\0\3", 9};
    for (const auto& part : {half_a_record, half_of_the_parameters}) {
        fastcgi_request half{master.socket()};
        half.send_bytes(part);
        ASSERT_TRUE(await([&] { return half.taken(); }));
        const auto began = clock::now();
        EXPECT_EQ(status_of_any_request(master.socket()), 401);
        EXPECT_LT(clock::now() - began, 8s) << part.size() << " bytes";
    }
    EXPECT_EQ(master.workers().size(), 1U);
    EXPECT_FALSE(master.logs("worker_killed"));
}

// nginx asks for it (fastcgi_keep_conn) to be told of answers that break off.
TEST_F(prefork, a_connection_is_closed_after_one_request_whoever_wants_to_keep_it) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    fastcgi_request kept{master.socket()};
    kept.send_head({{"REQUEST_METHOD", "GET"}, {"DOCUMENT_URI", "/sync/todo/pull"}},
                   fastcgi_request::wish::keep);
    kept.end_body();
    EXPECT_NO_THROW(kept.await_close(5s));
}

TEST_F(prefork, a_client_that_goes_away_costs_nobody_else) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    { push_in_flight gone{master.socket()}; }
    { const fastcgi_request silent{master.socket()}; }
    EXPECT_EQ(status_of_any_request(master.socket()), 401);
}

TEST(setting, a_password_in_a_url_is_in_no_line_of_the_log) {
    const scratch_folder folder;
    auto settings = hub_settings(folder);
    settings["JWKS_URL"] = "http://ann:hush@127.0.0.1:1/jwks?key=hush";
    settings["MANA_CREDITS_URL"] = settings["MANA_AUTH_URL"] = "http://ann:hush@127.0.0.1:1";
    settings["REDIS_URL"] = "redis://ann:hush@127.0.0.1:1";
    settings["DATABASE_URL"] = "postgresql://mana:hush@127.0.0.1:1/x";
    settings["LOG_LEVEL"] = "debug";
    worker_process worker{folder, settings};
    hub_process hub{folder, settings};
    ASSERT_TRUE(worker.await_ready());
    EXPECT_TRUE(worker.logs("event=keys_unavailable")) << worker.log();
    EXPECT_TRUE(await([&] { return hub.logs("event=hub_started") && hub.logs("event=redis_down"); }))
        << hub.log();
    EXPECT_EQ(ask(worker.socket(), "GET", "/sync/todo/pull", token_of(fresh("user")), "").status, 503);
    for (const auto& said : {worker.log(), hub.log()})
        EXPECT_EQ(said.find("hush"), std::string::npos) << said;
}

// Each is one that was once found out only when the setting was used.
TEST(bad_setting, stops_worker_and_hub_at_the_start_with_one_line_that_names_it) {
    const std::vector<std::pair<std::string, std::string>> bad{
        {"REDIS_URL", "redis://localhost/x"},       {"REDIS_URL", "redis://a,b"},
        {"REDIS_URL", "redis://localhost?db=2"},    {"DATABASE_URL", "postgresql://mana:12/34@db/x"},
        {"DATABASE_URL", "postgresql://db:port/x"}, {"JWKS_URL", "http://a,b/jwks"},
        {"CORS_ORIGINS", "https://*.example.org"}};
    for (const auto& [name, value] : bad) {
        const scratch_folder folder;
        auto settings = hub_settings(folder);
        settings[name] = value;
        worker_process worker{folder, settings};
        hub_process hub{folder, settings};
        EXPECT_EQ(worker.await_end(), 1) << name << '=' << value;
        EXPECT_EQ(hub.await_end(), 1) << name << '=' << value;
        for (const auto& said : {worker.log(), hub.log()}) {
            EXPECT_NE(said.find(": " + name + ": "), std::string::npos) << said;
            EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
        }
    }
}

} // namespace
} // namespace mana::end_to_end
