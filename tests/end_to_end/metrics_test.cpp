// What workers count of real requests, as the hub reads it (docs/metrics.md).

#include "shared/metrics/worker_counters.hpp"
#include "tests/end_to_end/device.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/fastcgi_client.hpp"
#include "tests/end_to_end/http_client.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace mana::end_to_end {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using metrics::route;

class metrics_of_workers : public testing::Test {
  protected:
    scratch_folder folder;
    std::map<std::string, std::string> settings = worker_settings(folder);
    const std::string token = token_of(fresh("user"));

    fastcgi_reply push(const json::array& changes) {
        return ask(settings["WORKER_SOCKET"], "POST", "/sync/todo", token,
                   json::serialize(json::object{{"since", ""}, {"changes", changes}}));
    }
    fastcgi_reply push_one() { return push({insert_of(fresh("t"), {{"n", 1}}, time_from_now())}); }

    [[nodiscard]] std::map<std::string, std::string> head_of_a_push(const std::string& length) const {
        return {{"REQUEST_METHOD", "POST"},
                {"DOCUMENT_URI", "/sync/todo"},
                {"HTTP_AUTHORIZATION", "Bearer " + token},
                {"CONTENT_LENGTH", length}};
    }
    int status_of_a_push_announced_too_large() {
        fastcgi_request request{settings["WORKER_SOCKET"]};
        request.send_head(head_of_a_push("10485761"));
        request.end_body();
        return request.receive().status;
    }

    [[nodiscard]] metrics::counters_view look() {
        auto found = metrics::counters_view::of(settings["WORKER_METRICS"]);
        if (!found) throw std::runtime_error{std::string{metrics::message(found.error())}};
        return std::move(*found);
    }
    [[nodiscard]] std::uint64_t requests(route to, int status) {
        const auto place = std::ranges::find(metrics::statuses, status) - metrics::statuses.begin();
        return look()
            .counters()
            .requests[static_cast<std::size_t>(to)][static_cast<std::size_t>(place)]
            .value();
    }
    // A request is counted once its answer has been sent, so its sender may look too early.
    [[nodiscard]] bool counts(std::uint64_t wanted, route to, int status) {
        return await([&] { return requests(to, status) == wanted; }, 2s);
    }
};

// ---- requests ----

TEST_F(metrics_of_workers, requests_are_counted_by_route_and_status) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto& socket = master.socket();
    EXPECT_EQ(push_one().status, 200);
    EXPECT_EQ(ask(socket, "POST", "/sync/todo", token, "no JSON").status, 400);
    EXPECT_EQ(ask(socket, "POST", "/sync/todo", "", "{}").status, 401);
    EXPECT_EQ(ask(socket, "GET", "/sync/todo", token, "").status, 405);
    EXPECT_EQ(status_of_a_push_announced_too_large(), 413);
    EXPECT_EQ(ask(socket, "GET", "/sync/todo/pull", "", "").status, 401);
    EXPECT_EQ(ask(socket, "GET", "/nowhere", token, "").status, 404);
    for (const int status : {200, 400, 401, 405, 413}) EXPECT_TRUE(counts(1, route::push, status)) << status;
    EXPECT_TRUE(counts(1, route::pull, 401));
    EXPECT_TRUE(counts(1, route::other, 404));
    EXPECT_EQ(requests(route::push, 500), 0U);
}

TEST_F(metrics_of_workers, a_wait_for_a_worker_is_a_part_of_the_duration) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    const auto asked = std::chrono::system_clock::now().time_since_epoch() - 60s;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(asked).count();
    EXPECT_EQ(ask(master.socket(), "GET", "/sync/todo/pull", token, "",
                  {{"REQUEST_START", std::to_string(seconds) + ".000"}})
                  .status,
              503);
    ASSERT_TRUE(counts(1, route::pull, 503));
    const auto seen = look();
    EXPECT_GE(seen.counters().waits.total(), 60s);
    EXPECT_GE(seen.counters().durations[static_cast<std::size_t>(route::pull)].total(), 60s);
    EXPECT_EQ(seen.counters().durations[static_cast<std::size_t>(route::push)].total(), 0s);
}

// ---- several workers ----

TEST_F(metrics_of_workers, requests_of_several_workers_are_summed) {
    settings["WORKERS"] = "3";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready(3));
    EXPECT_TRUE(await([&] { return look().counters().workers.value() == 3; }));
    EXPECT_EQ(look().counters().worker_starts.value(), 3U);
    // Each is held by a worker of its own until its body is there.
    std::array<fastcgi_request, 3> held{fastcgi_request{master.socket()}, fastcgi_request{master.socket()},
                                        fastcgi_request{master.socket()}};
    for (auto& request : held) {
        request.send_head(head_of_a_push("2"));
        request.send_body("{");
        ASSERT_TRUE(await([&] { return request.taken(); }));
    }
    for (auto& request : held) {
        request.send_body("}");
        request.end_body();
        EXPECT_EQ(request.receive().status, 200);
    }
    EXPECT_TRUE(counts(3, route::push, 200));
}

TEST_F(metrics_of_workers, a_worker_that_is_killed_takes_no_count_with_it) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    for (std::uint64_t round = 1; round <= 3; ++round) {
        EXPECT_EQ(push_one().status, 200);
        ASSERT_TRUE(counts(round, route::push, 200));
        ::kill(master.workers().at(0), SIGKILL);
        ASSERT_TRUE(await([&] { return look().counters().worker_starts.value() == round + 1; }));
    }
    EXPECT_EQ(look().counters().changes_stored.value(), 3U);
    EXPECT_TRUE(await([&] { return look().counters().workers.value() == 1; }));
}

TEST_F(metrics_of_workers, the_last_counts_can_be_read_after_the_end) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(push_one().status, 200);
    EXPECT_TRUE(look().served());
    master.signal(SIGTERM);
    ASSERT_EQ(master.await_end(), 0);
    EXPECT_EQ(requests(route::push, 200), 1U);
    EXPECT_EQ(look().counters().workers.value(), 0U);
    EXPECT_FALSE(look().served());
}

TEST_F(metrics_of_workers, a_second_master_on_the_same_socket_leaves_the_counts_alone) {
    worker_process first{folder, settings};
    ASSERT_TRUE(first.await_ready());
    EXPECT_EQ(push_one().status, 200);
    worker_process second{folder, settings};
    EXPECT_EQ(second.await_end(), 1);
    EXPECT_TRUE(counts(1, route::push, 200));
}

TEST_F(metrics_of_workers, a_path_that_cannot_be_used_stops_the_start_with_one_line) {
    settings["WORKER_METRICS"] = folder.file("nowhere") + "/worker.metrics";
    worker_process master{folder, settings};
    EXPECT_EQ(master.await_end(), 1);
    const auto said = master.log();
    EXPECT_NE(said.find("WORKER_METRICS: " + settings["WORKER_METRICS"]), std::string::npos) << said;
    EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
    EXPECT_FALSE(std::filesystem::exists(settings["WORKER_SOCKET"]));
}

// ---- pushes ----

TEST_F(metrics_of_workers, a_push_is_counted_by_what_became_of_its_changes) {
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    ASSERT_EQ(push({update_of("t1", "title", "new", time_from_now(-1s))}).status, 200);
    const auto reply = push({update_of("t1", "title", "too late", time_from_now(-1h)),
                             update_of("t2", "title", "when?", "not a time"),
                             update_of("t3", "title", "a broken clock", time_from_now(48h))});
    ASSERT_EQ(reply.status, 200) << reply.body;
    ASSERT_EQ(json::parse(reply.body).at("conflicts").as_array().size(), 1U) << reply.body;
    ASSERT_EQ(json::parse(reply.body).at("rejected").as_array().size(), 1U) << reply.body;
    const auto seen = look();
    EXPECT_EQ(seen.counters().changes_received.value(), 4U);
    EXPECT_EQ(seen.counters().changes_stored.value(), 2U);
    EXPECT_EQ(seen.counters().changes_rejected.value(), 1U);
    EXPECT_EQ(seen.counters().fields_lost.value(), 1U);
    EXPECT_EQ(seen.counters().claims_capped.value(), 1U);
    EXPECT_EQ(seen.counters().redis_failures.value(), 0U);
}

// ---- what is away ----

TEST_F(metrics_of_workers, a_push_that_redis_was_not_told_of_is_counted) {
    settings["REDIS_URL"] = "unix://" + folder.file("redis.sock");
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(push_one().status, 200);
    EXPECT_EQ(push_one().status, 200);
    EXPECT_EQ(push({}).status, 200) << "there is nothing to tell";
    EXPECT_EQ(look().counters().redis_failures.value(), 2U);
}

TEST_F(metrics_of_workers, a_request_that_postgresql_failed_is_counted) {
    settings["DATABASE_URL"] = "postgresql://mana@/mana_sync?host=" + folder.file("");
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(push_one().status, 503);
    EXPECT_TRUE(counts(1, route::push, 503));
    const auto place = std::ranges::find(metrics::remedy_names, std::string_view{"retry_later"});
    const auto index = static_cast<std::size_t>(place - metrics::remedy_names.begin());
    EXPECT_EQ(look().counters().postgres_failures[index].value(), 1U);
}

TEST_F(metrics_of_workers, keys_are_fetched_once_by_the_master_and_then_found_by_its_workers) {
    settings["WORKERS"] = "2";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready(2));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(push_one().status, 200);
    EXPECT_TRUE(await([&] { return look().counters().key_hits.value() == 5; }));
    EXPECT_EQ(look().counters().key_misses.value(), 0U);
    EXPECT_EQ(look().counters().keys_fetched.value(), 1U);
    EXPECT_EQ(look().counters().keys_failed.value(), 0U);
}

TEST_F(metrics_of_workers, a_fetch_of_keys_that_failed_is_counted) {
    settings["JWKS_URL"] = "http://127.0.0.1:1/jwks";
    worker_process master{folder, settings};
    ASSERT_TRUE(master.await_ready());
    EXPECT_EQ(push_one().status, 503);
    EXPECT_TRUE(await([&] { return look().counters().key_misses.value() == 1; }));
    EXPECT_EQ(look().counters().keys_fetched.value(), 0U);
    EXPECT_GE(look().counters().keys_failed.value(), 1U);
}

// ---- the scrape ----

TEST(metrics_of_a_host, are_those_of_workers_and_hub_in_one_scrape) {
    device phone{token_of(fresh("user")), "phone"};
    ASSERT_EQ(phone.push({insert_of("t1", {{"n", 1}}, time_from_now())}).status, 200);
    http_client nginx{required_environment("MANA_TEST_URL")};
    std::string text;
    EXPECT_TRUE(await([&] {
        text = nginx.get("/metrics").body;
        const std::string pushes = "\nmana_sync_requests_total{route=\"push\",status=\"200\"} ";
        const auto at = text.find(pushes);
        return at != std::string::npos && text[at + pushes.size()] != '0';
    })) << text;
    EXPECT_NE(text.find("\nmana_sync_connections_total "), std::string::npos) << text;
}

} // namespace
} // namespace mana::end_to_end
