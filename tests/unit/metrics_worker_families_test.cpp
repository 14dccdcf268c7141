// The workers' part of GET /metrics, as Prometheus reads it (docs/metrics.md).
#include "shared/metrics/worker_families.hpp"
#include "tests/unit/scratch_folder.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <set>
#include <string>
#include <vector>

namespace mana::metrics {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

std::string text_of(const std::vector<prometheus::MetricFamily>& families) {
    return prometheus::TextSerializer{}.Serialize(families);
}

std::string scraped(const worker_counters& counted, bool served = true) {
    return '\n' + text_of(worker_families(counted, served));
}

TEST(worker_families, are_named_as_prometheus_wants_them) {
    const worker_counters counted;
    std::set<std::string> names;
    for (const auto& family : worker_families(counted, true)) {
        EXPECT_TRUE(family.name.starts_with("mana_sync_")) << family.name;
        EXPECT_EQ(family.type == prometheus::MetricType::Counter, family.name.ends_with("_total"))
            << family.name;
        EXPECT_EQ(family.type == prometheus::MetricType::Histogram, family.name.ends_with("_seconds"))
            << family.name;
        EXPECT_FALSE(family.help.empty()) << family.name;
        EXPECT_TRUE(names.insert(family.name).second) << family.name << " is there twice";
    }
}

TEST(worker_families, have_every_series_from_the_start) {
    const auto text = scraped(worker_counters{});
    for (const char* const series : {R"(mana_sync_requests_total{route="push",status="200"})",
                                     R"(mana_sync_requests_total{route="pull",status="503"})",
                                     R"(mana_sync_requests_total{route="other",status="404"})",
                                     R"(mana_sync_requests_total{route="other",status="other"})",
                                     "mana_sync_changes_received_total",
                                     "mana_sync_changes_stored_total",
                                     "mana_sync_changes_rejected_total",
                                     "mana_sync_fields_lost_total",
                                     "mana_sync_claims_capped_total",
                                     R"(mana_sync_postgres_failures_total{remedy="in_doubt"})",
                                     "mana_sync_redis_failures_total",
                                     R"(mana_sync_jwks_lookups_total{result="hit"})",
                                     R"(mana_sync_jwks_lookups_total{result="miss"})",
                                     R"(mana_sync_jwks_fetches_total{result="ok"})",
                                     R"(mana_sync_jwks_fetches_total{result="failed"})",
                                     "mana_sync_worker_starts_total",
                                     R"(mana_sync_worker_ends_total{reason="renewed"})",
                                     R"(mana_sync_worker_ends_total{reason="died"})",
                                     R"(mana_sync_billing_lookups_total{result="hit"})",
                                     R"(mana_sync_membership_lookups_total{result="failed"})",
                                     "mana_sync_workers",
                                     R"(mana_sync_request_duration_seconds_count{route="pull"})",
                                     "mana_sync_request_wait_seconds_count"})
        EXPECT_THAT(text, HasSubstr('\n' + std::string{series} + " 0\n"));
}

TEST(worker_families, show_each_count_under_its_own_name) {
    worker_counters counted;
    counted.answered(route::pull, 401, 0ms, 1ms);
    counted.changes_received.add(1);
    counted.changes_stored.add(2);
    counted.changes_rejected.add(3);
    counted.fields_lost.add(4);
    counted.claims_capped.add(5);
    counted.postgres_failures[2].add(6);
    counted.redis_failures.add(7);
    counted.key_hits.add(8);
    counted.key_misses.add(9);
    counted.keys_fetched.add(10);
    counted.keys_failed.add(11);
    counted.worker_starts.add(12);
    counted.workers.set(13);
    counted.workers_stuck.add(14);
    const auto text = scraped(counted);
    for (const char* const line :
         {R"(mana_sync_requests_total{route="pull",status="401"} 1)", "mana_sync_changes_received_total 1",
          "mana_sync_changes_stored_total 2", "mana_sync_changes_rejected_total 3",
          "mana_sync_fields_lost_total 4", "mana_sync_claims_capped_total 5",
          R"(mana_sync_postgres_failures_total{remedy="reconnect"} 6)", "mana_sync_redis_failures_total 7",
          R"(mana_sync_jwks_lookups_total{result="hit"} 8)",
          R"(mana_sync_jwks_lookups_total{result="miss"} 9)",
          R"(mana_sync_jwks_fetches_total{result="ok"} 10)",
          R"(mana_sync_jwks_fetches_total{result="failed"} 11)", "mana_sync_worker_starts_total 12",
          "mana_sync_workers 13", R"(mana_sync_worker_ends_total{reason="stuck"} 14)"})
        EXPECT_THAT(text, HasSubstr('\n' + std::string{line} + '\n'));
}

TEST(worker_families, have_cumulative_buckets_that_end_at_the_count) {
    worker_counters counted;
    for (const auto took : {500us, 1'500us, 2'000us, 20'000'000us})
        counted.answered(route::push, 200, 0ms, took);
    const auto text = scraped(counted);
    const std::string name = "\nmana_sync_request_duration_seconds";
    EXPECT_THAT(text, HasSubstr(name + R"(_bucket{route="push",le="0.001"} 1)" + '\n'));
    EXPECT_THAT(text, HasSubstr(name + R"(_bucket{route="push",le="0.0025"} 3)" + '\n'));
    EXPECT_THAT(text, HasSubstr(name + R"(_bucket{route="push",le="10"} 3)" + '\n'));
    EXPECT_THAT(text, HasSubstr(name + R"(_bucket{route="push",le="+Inf"} 4)" + '\n'));
    EXPECT_THAT(text, HasSubstr(name + R"(_count{route="push"} 4)" + '\n'));
    EXPECT_THAT(text, HasSubstr(name + R"(_sum{route="push"} 20.004)" + '\n'));
    EXPECT_THAT(text, HasSubstr(name + R"(_count{route="pull"} 0)" + '\n'));
}

TEST(worker_families, know_of_no_workers_where_nobody_serves) {
    worker_counters counted;
    counted.workers.set(4);
    EXPECT_THAT(scraped(counted, false), HasSubstr("\nmana_sync_workers 0\n"));
}

// The scrape.

class worker_scrape_test : public ::testing::Test {
  protected:
    // What two scrapes say together, and what they log.
    std::string collect_twice() {
        worker_scrape scrape{path()};
        ::testing::internal::CaptureStderr();
        std::string text = text_of(scrape.collect());
        text += text_of(scrape.collect());
        logged_ = ::testing::internal::GetCapturedStderr();
        return text;
    }
    [[nodiscard]] std::string path() const { return folder_.file("worker.metrics"); }

    const testing::scratch_folder folder_;
    std::string logged_;
};

TEST_F(worker_scrape_test, has_what_the_workers_counted) {
    const counters_file file{"WORKER_METRICS", path()};
    file.counters().changes_stored.add(5);
    EXPECT_THAT(collect_twice(), HasSubstr("\nmana_sync_changes_stored_total 5\n"));
    EXPECT_EQ(logged_, "");
}

TEST_F(worker_scrape_test, says_nothing_of_workers_where_there_are_none) {
    EXPECT_EQ(collect_twice(), "");
    EXPECT_EQ(logged_, "");
}

TEST_F(worker_scrape_test, logs_once_that_a_file_cannot_be_used) {
    std::ofstream{path()} << "of another version";
    EXPECT_EQ(collect_twice(), "");
    EXPECT_THAT(logged_, HasSubstr("worker_metrics_unusable"));
    EXPECT_EQ(std::count(logged_.begin(), logged_.end(), '\n'), 1) << logged_;
}

} // namespace
} // namespace mana::metrics
