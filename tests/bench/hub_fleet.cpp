#include "tests/bench/hub_fleet.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

namespace mana::bench {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds jitter = 5s;
constexpr milliseconds first_pause = 1s;
constexpr milliseconds longest_pause = 16s;

milliseconds random_between(milliseconds least, milliseconds most) {
    static std::mt19937 random{std::random_device{}()};
    return milliseconds{
        std::uniform_int_distribution<milliseconds::rep>{least.count(), most.count()}(random)};
}

/// How long a client waits that was cut off, or has failed to connect so many times since.
milliseconds pause_after(unsigned failures) {
    if (failures == 0) return random_between(0ms, jitter);
    const auto pause = std::min(first_pause * (1 << std::min(failures - 1, 10U)), longest_pause);
    return random_between(pause / 2, pause);
}

/// The value of "appId", without reading the rest.
std::string_view app_in(std::string_view message) {
    constexpr std::string_view key = R"("appId":")";
    const auto found = message.find(key);
    if (found == std::string_view::npos) return {};
    const auto rest = message.substr(found + key.size());
    return rest.substr(0, rest.find('"'));
}

} // namespace

std::string device_name(std::size_t device) {
    return device == 0 ? "phone" : device == 1 ? "laptop" : "tablet";
}

fleet::fleet(boost::asio::io_context& io, boost::asio::ip::tcp::endpoint server,
             const std::vector<std::string>& tokens)
    : io_(io), server_(std::move(server)), tokens_(tokens), clients_(tokens.size() * devices_per_user) {}

void fleet::open_all(std::size_t at_a_time) {
    for (std::size_t i = 0; i < at_a_time; ++i) open_next();
}

void fleet::on_open(std::size_t number) {
    auto& opened = clients_[number];
    opened.open = true;
    opened.failures = 0;
    ++open_;
    if (std::exchange(opened.first, false)) open_next();
}

void fleet::on_message(std::size_t number, std::string_view text) {
    if (hears_) hears_(number, app_in(text));
}

void fleet::on_lost(std::size_t number, const std::string& reason) {
    auto& lost = clients_[number];
    ++losses_.reasons[reason];
    if (std::exchange(lost.open, false)) {
        --open_;
        ++losses_.cut;
    } else {
        ++lost.failures;
        ++losses_.failed;
    }
    connect_after(number, pause_after(lost.failures));
}

void fleet::open_next() {
    if (next_ < clients_.size()) connect(next_++);
}

void fleet::connect(std::size_t number) {
    const auto& token = tokens_[number / devices_per_user];
    open_socket(io_, server_, *this, number,
                R"({"type":"auth","token":")" + token + R"(","clientId":")" +
                    device_name(number % devices_per_user) + R"("})");
}

void fleet::connect_after(std::size_t number, milliseconds pause) {
    auto timer = std::make_unique<boost::asio::steady_timer>(io_, pause);
    auto& waits = *timer;
    waits.async_wait(
        [this, number, timer = std::move(timer)](boost::system::error_code) { connect(number); });
}

} // namespace mana::bench
