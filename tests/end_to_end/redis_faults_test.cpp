// A Redis that takes a part of what it is told, or that is not the master any more: what it refused it gets
// later, once, and until then it shows that something is wrong.

#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/end_to_end/own_parts.hpp"
#include "tests/end_to_end/prefork_fixture.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <arpa/inet.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <csignal>
#include <filesystem>
#include <gtest/gtest.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/socket.h>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// A tool that listens to all channels from its construction on.
class channel_listener {
  public:
    explicit channel_listener(const own_redis& at) {
        auto connected = store::connect_redis(store::parse_redis_url(at.url()), 5s);
        if (!connected) throw std::runtime_error{connected.error()};
        redis_ = std::move(*connected);
        store::append_command(*redis_, {"PSUBSCRIBE", "mana-sync:1:??"});
        store::flush_commands(*redis_);
        const auto done = store::next_reply(*redis_, std::chrono::steady_clock::now() + 5s);
        if (!done || done->type == REDIS_REPLY_ERROR) throw std::runtime_error{"cannot subscribe"};
    }

    // How many notifications it was told so far.
    std::size_t heard() {
        while (const auto reply = store::next_reply(*redis_, std::chrono::steady_clock::now()))
            if (reply->elements == 4) ++heard_;
        return heard_;
    }

  private:
    store::redis_context redis_;
    std::size_t heard_ = 0;
};

// One that nobody listens on at the moment.
std::uint16_t free_port() {
    const runtime::unique_fd fd{::socket(AF_INET, SOCK_STREAM, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::runtime_error{"no port is free"};
    return ntohs(address.sin_port);
}

class redis_faults : public testing::Test {
  protected:
    scratch_folder folder;
    own_database database{folder};
    std::map<std::string, std::string> settings = hub_settings(folder);
    std::optional<worker_process> worker;
    std::optional<hub_process> hub;
    const std::string user = fresh("user");
    const std::string token = token_of(user);

    void start(const std::string& redis_url) {
        settings["DATABASE_URL"] = database.url();
        settings["REDIS_URL"] = redis_url;
        worker.emplace(folder, settings);
        hub.emplace(folder, settings);
        ASSERT_TRUE(worker->await_ready());
        ASSERT_TRUE(hub->await_ready());
        ASSERT_TRUE(await([&] { return number("mana_sync_hub_sweeps_total{result=\"done\"}") > 0; }));
    }
    void start_well(const own_redis& redis) {
        start(redis.url());
        ASSERT_TRUE(await([&] { return redis_state() == "up"; })) << hub->log();
    }

    void push(int times) {
        for (int i = 0; i < times; ++i) {
            const auto body = json::serialize(json::object{
                {"since", ""}, {"changes", json::array{insert_of(fresh("t"), {{"n", i}}, time_from_now())}}});
            ASSERT_EQ(ask(settings["WORKER_SOCKET"], "POST", "/sync/todo", token, body).status, 200);
        }
    }

    std::string asked(const std::string& path) const {
        return http_client{"http://hub", settings.at("HUB_SOCKET")}.get(path).body;
    }
    std::string redis_state() const {
        return json::value_to<std::string>(json::parse(asked("/health")).at("redis"));
    }
    double number(const std::string& metric) const {
        const auto text = '\n' + asked("/metrics");
        const auto place = text.find('\n' + metric + ' ');
        return place == std::string::npos ? -1 : std::stod(text.substr(place + metric.size() + 2));
    }
    double untold_age() const { return number("mana_sync_oldest_unpublished_push_age_seconds"); }

    // Until the hub has swept so many times more.
    [[nodiscard]] bool await_sweeps(int more) const {
        const std::string sweeps = "mana_sync_hub_sweeps_total{result=\"done\"}";
        const double wanted = number(sweeps) + more;
        return await([&] { return number(sweeps) >= wanted; }, std::chrono::seconds{more} * 2 + 5s);
    }
    [[nodiscard]] bool all_well() const { return redis_state() == "up" && untold_age() < 3; }
};

// ---- One of two places takes a push ----

TEST_F(redis_faults, what_the_stream_refused_is_in_it_once_when_there_is_room_again) {
    own_redis redis{folder, "redis", {"maxmemory-policy noeviction"}};
    channel_listener channels{redis};
    start_well(redis);
    push(1);
    ASSERT_TRUE(await([&] { return redis.stream().size() == 1; }));
    redis.ask({"CONFIG", "SET", "maxmemory", "1"});
    push(3);
    EXPECT_TRUE(await([&] { return redis_state() == "refuses"; })) << asked("/health");
    EXPECT_TRUE(await([&] { return untold_age() > 2; })) << asked("/metrics");
    EXPECT_EQ(number("mana_sync_hub_redis_refuses{place=\"stream\"}"), 1);
    EXPECT_EQ(number("mana_sync_hub_redis_refuses{place=\"channels\"}"), 0);
    EXPECT_TRUE(hub->logs("event=redis_refuses")) << hub->log();
    EXPECT_EQ(redis.stream().size(), 1U);
    redis.ask({"CONFIG", "SET", "maxmemory", "0"});
    EXPECT_TRUE(await([&] { return redis.stream().size() == 4; }, 20s)) << redis.stream().size();
    EXPECT_TRUE(await([&] { return all_well(); })) << asked("/health") << untold_age();
    ASSERT_TRUE(await_sweeps(3));
    EXPECT_EQ(redis.stream().size(), 4U);
    EXPECT_EQ(channels.heard(), 4U);
}

TEST_F(redis_faults, doctor_tells_what_the_stream_lacks) {
    own_redis redis{folder, "redis"};
    start_well(redis);
    redis.ask({"CONFIG", "SET", "maxmemory", "1"});
    push(1);
    ASSERT_TRUE(await([&] { return redis_state() == "refuses"; })) << asked("/health");
    database.run("update sync_pushes set newest = newest - interval '20 minutes'");
    program_process doctor{
        script_in(folder, "doctor", required_environment("MANA_TEST_ADMIN_PROGRAM") + " doctor >&2"), folder,
        settings, -1};
    EXPECT_EQ(doctor.await_end(), 1);
    EXPECT_TRUE(doctor.logs("the stream of Redis is not known to have a push of 20 min ago")) << doctor.log();
    EXPECT_TRUE(doctor.logs("Redis refuses what it tells")) << doctor.log();
    EXPECT_TRUE(doctor.logs("entries of the stream  Redis: OOM")) << doctor.log();
}

TEST_F(redis_faults, a_key_of_another_type_in_the_place_of_the_stream_shows) {
    own_redis redis{folder, "redis"};
    redis.ask({"SET", "mana-sync:1:log", "not a stream"});
    start_well(redis);
    push(2);
    EXPECT_TRUE(await([&] { return redis_state() == "refuses" && untold_age() > 2; })) << asked("/health");
    redis.ask({"DEL", "mana-sync:1:log"});
    EXPECT_TRUE(await([&] { return redis.stream().size() == 2; }, 20s)) << redis.stream().size();
    EXPECT_TRUE(await([&] { return all_well(); })) << asked("/health") << untold_age();
}

TEST_F(redis_faults, without_rights_on_keys_the_stream_gets_all_once_they_are_given) {
    own_redis redis{folder, "redis"};
    start_well(redis);
    redis.ask({"ACL", "SETUSER", "default", "-xadd"});
    push(2);
    EXPECT_TRUE(await([&] { return redis_state() == "refuses" && untold_age() > 2; })) << asked("/health");
    redis.ask({"ACL", "SETUSER", "default", "+xadd"});
    EXPECT_TRUE(await([&] { return redis.stream().size() == 2; }, 20s)) << redis.stream().size();
    redis.ask({"ACL", "SETUSER", "default", "-xrange"});
    push(1);
    EXPECT_TRUE(await([&] { return redis_state() == "refuses"; })) << "nobody knows what the stream holds";
    redis.ask({"ACL", "SETUSER", "default", "+xrange"});
    EXPECT_TRUE(await([&] { return all_well(); }, 20s)) << asked("/health") << untold_age();
    EXPECT_EQ(redis.stream().size(), 3U);
}

TEST_F(redis_faults, without_rights_on_channels_nothing_is_added_to_the_stream_twice) {
    own_redis redis{folder, "redis"};
    redis.ask({"ACL", "SETUSER", "default", "resetchannels"});
    start(redis.url());
    push(100);
    ASSERT_TRUE(await([&] { return redis.stream().size() >= 100; }));
    ASSERT_TRUE(await_sweeps(10));
    EXPECT_EQ(redis.stream().size(), 100U);
    EXPECT_NE(redis_state(), "up");
    EXPECT_GT(untold_age(), 2);
    EXPECT_EQ(number("mana_sync_hub_redis_refuses{place=\"channels\"}"), 1);
    EXPECT_NE(redis.ask({"INFO", "commandstats"}).find("cmdstat_xadd:calls=100,"), std::string::npos)
        << redis.ask({"INFO", "commandstats"});
    redis.ask({"ACL", "SETUSER", "default", "allchannels"});
    EXPECT_TRUE(await([&] { return all_well(); }, 30s)) << asked("/health") << untold_age();
    EXPECT_EQ(redis.stream().size(), 100U);
}

TEST_F(redis_faults, what_a_hub_added_before_it_was_killed_is_not_added_again) {
    own_redis redis{folder, "redis"};
    start_well(redis);
    redis.ask({"ACL", "SETUSER", "default", "-publish"}); // so that nothing is heard
    push(3);
    ASSERT_TRUE(await([&] { return redis.stream().size() == 3; }));
    hub->signal(SIGKILL);
    ASSERT_TRUE(hub->await_end());
    // As of one that was killed before it kept how far the stream is.
    database.run("update sync_published set streamed = '1:1:'");
    hub.emplace(folder, settings);
    ASSERT_TRUE(hub->await_ready());
    redis.ask({"ACL", "SETUSER", "default", "+publish"});
    EXPECT_TRUE(await([&] { return all_well(); }, 20s)) << asked("/health") << untold_age();
    EXPECT_EQ(redis.stream().size(), 3U);
}

TEST_F(redis_faults, a_user_with_the_rights_of_the_manual_needs_no_others) {
    const auto port = std::to_string(free_port());
    own_redis redis{folder, "redis", {"bind 127.0.0.1", "port " + port}};
    ASSERT_EQ(
        redis.ask({"ACL", "SETUSER", "mana-sync", "on", ">PASSWORD", "~mana-sync:1:log", "&mana-sync:1:*",
                   "+ping", "+select", "+subscribe", "+publish", "+xadd", "+xrange", "+role"}),
        "OK");
    start("redis://mana-sync:PASSWORD@127.0.0.1:" + port + "/0");
    ASSERT_TRUE(await([&] { return redis_state() == "up"; })) << hub->log();
    push(1);
    database.run("insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest) "
                 "values ('u:ann', 'todo', 'ann', 'phone', '{late}', 1, clock_timestamp())");
    EXPECT_TRUE(await([&] { return redis.stream().size() == 2; })) << redis.stream().size();
    ASSERT_TRUE(await_sweeps(3));
    EXPECT_TRUE(all_well()) << asked("/health") << untold_age();
    EXPECT_EQ(redis.ask({"ACL", "LOG"}), "");
}

// ---- Another one is the master ----

class failover : public redis_faults {
  protected:
    const std::string port = std::to_string(free_port());
    own_redis first{folder, "first"};
    own_redis second{folder, "second", {"bind 127.0.0.1", "port " + port}};
    const std::string address = folder.file("redis.sock"); // leads to the one or to the other

    void lead_to(const own_redis& redis) const {
        const auto link = folder.file("link");
        std::filesystem::create_symlink(redis.socket(), link);
        std::filesystem::rename(link, address);
    }
    // Connections to it stay open.
    void demote_first() {
        ASSERT_EQ(first.ask({"REPLICAOF", "127.0.0.1", port}), "OK");
        ASSERT_TRUE(await([&] {
            return first.ask({"INFO", "replication"}).find("master_link_status:up") != std::string::npos;
        }));
    }
    static std::string subscribers(own_redis& redis) {
        return redis.ask({"PUBSUB", "NUMSUB", "mana-sync:1:00"});
    }
};

TEST_F(failover, the_new_master_is_told_and_heard) {
    lead_to(first);
    start("unix://" + address);
    ASSERT_TRUE(await([&] { return redis_state() == "up"; })) << hub->log();
    push(1);
    ASSERT_TRUE(await_sweeps(3));
    ASSERT_EQ(first.stream().size(), 1U);
    ASSERT_EQ(untold_age(), 0);
    demote_first();
    lead_to(second);
    channel_listener channels{second};
    EXPECT_TRUE(await([&] { return subscribers(second) == "mana-sync:1:00\n1"; }, 15s)) << hub->log();
    EXPECT_EQ(subscribers(first), "mana-sync:1:00\n0");
    push(2);
    EXPECT_TRUE(await([&] { return second.stream().size() == 2; })) << second.stream().size();
    EXPECT_TRUE(await([&] { return channels.heard() == 2; })) << channels.heard();
    EXPECT_TRUE(await([&] { return all_well(); })) << asked("/health") << untold_age();
    ASSERT_TRUE(await_sweeps(3));
    EXPECT_EQ(second.stream().size(), 2U);
}

TEST_F(failover, pushes_meanwhile_are_told_to_the_new_master) {
    lead_to(first);
    start("unix://" + address);
    ASSERT_TRUE(await([&] { return redis_state() == "up"; })) << hub->log();
    demote_first();
    push(3);
    lead_to(second);
    EXPECT_TRUE(await([&] { return second.stream().size() == 3; }, 20s)) << second.stream().size();
    EXPECT_TRUE(await([&] { return all_well(); }, 20s)) << asked("/health") << untold_age();
    EXPECT_EQ(second.stream().size(), 3U);
}

TEST_F(failover, a_replica_for_good_is_no_redis_that_is_up) {
    demote_first();
    lead_to(first);
    start("unix://" + address);
    push(1);
    EXPECT_TRUE(await([&] { return untold_age() > 3; })) << asked("/metrics");
    EXPECT_EQ(redis_state(), "down");
    EXPECT_TRUE(hub->logs("replica")) << hub->log();
}

// ---- Rows of others ----

TEST_F(redis_faults, rows_that_are_taken_up_slowly_keep_no_push_from_being_told) {
    own_redis redis{folder, "redis"};
    const auto port = std::to_string(free_port());
    const auto service = required_environment("MANA_TEST_NGINX_TEMPLATE_DIR") +
                         "/../tests/identity/identity.py --service-key dev-service-key --port " + port +
                         " --state-dir " + folder.file("identity-state");
    const program_process identity{
        script_in(folder, "identity", "/usr/bin/python3 " + service), folder, {}, -1};
    http_client control{"http://127.0.0.1:" + port};
    ASSERT_TRUE(await([&] {
        try {
            return control.post("/control", R"({"delay":{"memberships":0.4}})").status == 200;
        } catch (const std::exception&) {
            return false;
        }
    }));
    settings["MANA_AUTH_URL"] = "http://127.0.0.1:" + port;
    start_well(redis);
    database.run("insert into sync_changes (app_id, table_name, record_id, user_id, op, data, client_id) "
                 "select 'todo', 't', 'r', 'user-' || n, 'update', '{\"a\":1}', 'tool' "
                 "from generate_series(1, 40) as n");
    const auto waiting = "select count(*) from sync_changes where scope is null";
    ASSERT_TRUE(await([&] { return database.run(waiting) != "40"; }));
    // A push of which Redis never heard.
    database.run("insert into sync_pushes (scope, app_id, user_id, client_id, tables, changes, newest) "
                 "values ('u:ann', 'todo', 'ann', 'phone', '{late}', 1, clock_timestamp())");
    EXPECT_TRUE(await(
        [&] {
            return redis.ask({"XRANGE", "mana-sync:1:log", "-", "+"}).find("late") != std::string::npos;
        },
        6s));
    EXPECT_GT(std::stoi(database.run(waiting)), 0) << "the rows were taken up too fast for this test";
}

} // namespace
} // namespace mana::end_to_end
