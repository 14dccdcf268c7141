#include "ws_hub/health.hpp"

#include "shared/sync/time.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace mana::hub {
namespace {

prometheus::Gauge& make_gauge(prometheus::Registry& in, const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(in).Add({});
}

prometheus::Counter& make_counter(prometheus::Registry& in, const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(in).Add({});
}

} // namespace

struct health::registered {
    prometheus::Registry all;
    prometheus::Gauge& connections =
        make_gauge(all, "mana_sync_connections_total", "Open connections that said who they are.");
    prometheus::Gauge& users =
        make_gauge(all, "mana_sync_users_connected", "Users with at least one open connection.");
    prometheus::Gauge& redis_up =
        make_gauge(all, "mana_sync_redis_up", "Whether the hub hears of pushes from Redis.");
    prometheus::Counter& notifications =
        make_counter(all, "mana_sync_notifications_total", "Notifications of pushes that came from Redis.");
};

health::health(const subscription_index& index, const redis_feed& feed)
    : index_(index), feed_(feed), metrics_(std::make_unique<registered>()) {}

health::~health() = default;

void health::count_notification() {
    metrics_->notifications.Increment();
}

std::string health::report(std::chrono::system_clock::time_point now) const {
    return boost::json::serialize(boost::json::object{
        {"status", "ok"},
        {"service", "mana-sync"},
        {"timestamp", sync::to_text(std::chrono::floor<std::chrono::milliseconds>(now))},
        {"connections", index_.connections()},
        {"users", index_.users()},
        {"redis", feed_.up() ? "up" : "down"},
    });
}

std::string health::metrics() {
    metrics_->connections.Set(static_cast<double>(index_.connections()));
    metrics_->users.Set(static_cast<double>(index_.users()));
    metrics_->redis_up.Set(feed_.up() ? 1 : 0);
    return prometheus::TextSerializer{}.Serialize(metrics_->all.Collect());
}

} // namespace mana::hub
