#include "tests/checker/listener.hpp"

#include "tests/checker/journal.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <curl/curl.h>
#include <memory>
#include <utility>

namespace mana::checker {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::ip::tcp;
using std::chrono::milliseconds;

// As short as a run is, compared to a day of a browser's.
constexpr int least_pause_ms = 50;
constexpr int longest_pause_ms = 300;

struct free_url {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string part_of(CURLU* url, CURLUPart part) {
    char* text = nullptr;
    if (curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    std::string found{text};
    curl_free(text);
    return found;
}

std::optional<tcp::endpoint> loopback_address(const std::string& text) {
    const std::unique_ptr<CURLU, free_url> url{curl_url()};
    if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return std::nullopt;
    if (part_of(url.get(), CURLUPART_SCHEME) != "http") return std::nullopt;
    auto host = part_of(url.get(), CURLUPART_HOST);
    if (host == "localhost") host = "127.0.0.1";
    boost::system::error_code other_form;
    const auto address = asio::ip::make_address_v4(host, other_form);
    if (other_form || !address.is_loopback()) return std::nullopt;
    return tcp::endpoint{address,
                         static_cast<asio::ip::port_type>(std::stoi(part_of(url.get(), CURLUPART_PORT)))};
}

/// Those of a sync-available; nothing: it is another message.
std::optional<std::vector<std::string>> tables_in(std::string_view text) {
    boost::system::error_code broken;
    const auto message = json::parse(json::string_view{text.data(), text.size()}, broken);
    const auto* const members = broken ? nullptr : message.if_object();
    const auto* const type = members != nullptr ? members->if_contains("type") : nullptr;
    if (type == nullptr || *type != "sync-available") return std::nullopt;
    std::vector<std::string> tables;
    const auto* const names = members->if_contains("tables");
    if (names == nullptr || !names->is_array()) return tables;
    for (const auto& name : names->get_array())
        if (name.is_string()) tables.emplace_back(name.get_string());
    return tables;
}

} // namespace

listeners::listeners(const std::string& url, std::vector<listening_device> devices)
    : devices_(std::move(devices)), server_(loopback_address(url)) {
    if (!server_) return;
    for (const auto& device : devices_) heard_.push_back({device.user, device.client, {}, {}, {}});
    for (std::size_t number = 0; number < devices_.size(); ++number) connect(number);
    thread_ = std::thread{[this] { io_.run(); }};
}

listeners::~listeners() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
}

bool listeners::await_all(milliseconds patience) {
    std::unique_lock guard{lock_};
    return opened_.wait_for(guard, patience, [this] { return open_ == heard_.size(); });
}

std::vector<hearing> listeners::heard() const {
    const std::lock_guard guard{lock_};
    return heard_;
}

void listeners::on_open(std::size_t number) {
    const std::lock_guard guard{lock_};
    heard_[number].connections.push_back({now(), sync::instant::max(), {}});
    ++open_;
    opened_.notify_all();
}

void listeners::on_message(std::size_t number, std::string_view text) {
    const auto tables = tables_in(text);
    if (!tables) return;
    const auto at = now();
    const std::lock_guard guard{lock_};
    auto& heard = heard_[number];
    heard.told.push_back(at);
    for (const auto& table : *tables)
        if (const auto name = number_of_named(table)) heard.named.try_emplace(*name, at);
}

void listeners::on_lost(std::size_t number, const std::string& reason) {
    {
        const std::lock_guard guard{lock_};
        auto& connections = heard_[number].connections;
        if (!connections.empty() && connections.back().lost == sync::instant::max()) {
            connections.back().lost = now();
            connections.back().reason = reason;
            --open_;
        }
    }
    connect_after_a_pause(number);
}

void listeners::connect(std::size_t number) {
    const auto& device = devices_[number];
    bench::open_socket(io_, *server_, *this, number,
                       json::serialize(json::object{
                           {"type", "auth"}, {"token", device.token}, {"clientId", device.client}}));
}

void listeners::connect_after_a_pause(std::size_t number) {
    std::uniform_int_distribution pause{least_pause_ms, longest_pause_ms};
    auto timer = std::make_unique<asio::steady_timer>(io_, milliseconds{pause(random_)});
    auto& waits = *timer;
    waits.async_wait(
        [this, number, timer = std::move(timer)](boost::system::error_code) { connect(number); });
}

} // namespace mana::checker
