#include "tests/checker/follower.hpp"

#include "shared/gate/header_list.hpp"

#include <curl/curl.h>
#include <memory>
#include <stdexcept>
#include <vector>

namespace mana::checker {

using namespace std::chrono_literals;

namespace {

constexpr auto pause_between_streams = 100ms;
constexpr int longest_sleep_ms = 1'000; ///< bytes, and whoever stops it, wake it

struct free_easy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};

} // namespace

follower::follower(link_means& means, history::caller who, std::string token)
    : means_(means), who_(std::move(who)), token_(std::move(token)), streams_(curl_multi_init()),
      unused_(means, token_), store_(unused_, who_), thread_([this] { follow(); }) {}

follower::~follower() {
    stop();
    thread_.join();
}

void follower::stop() {
    ends_ = true;
    curl_multi_wakeup(streams_.get());
}

sync::json_value follower::record(const std::string& id) const {
    const std::lock_guard guard{lock_};
    return store_.record(id);
}

std::chrono::steady_clock::time_point follower::last_told() const {
    const std::lock_guard guard{lock_};
    return last_told_;
}

std::string follower::failure() const {
    const std::lock_guard guard{lock_};
    return failure_;
}

std::vector<std::string> follower::history_of(const std::string& record) const {
    const std::lock_guard guard{lock_};
    std::vector<std::string> lines;
    for (const auto& one : heard_)
        if (one.record.empty() || one.record == record) lines.push_back(one.text);
    return lines;
}

void follower::note(const std::string& record, const std::string& text) {
    heard_.push_back({record, sync::to_text(now()).substr(11, 12) + ' ' + text});
}

void follower::follow() {
    while (!ends_) {
        try {
            listen();
        } catch (const std::exception& failed) {
            const std::lock_guard guard{lock_};
            failure_ = failed.what();
            return;
        }
        if (!ends_) std::this_thread::sleep_for(pause_between_streams);
    }
}

void follower::listen() {
    const std::unique_ptr<CURL, free_easy> easy{curl_easy_init()};
    const std::string url = means_.url + "/sync/" + means_.app + "/stream";
    std::vector<std::string> lines{"Authorization: Bearer " + token_, "X-Client-Id: " + who_.client};
    if (!last_id_.empty()) lines.push_back("Last-Event-ID: " + last_id_);
    const auto headers = gate::header_list_of(lines);
    curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy.get(), CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy.get(), CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, this);
    unread_.clear();
    event_ = {};
    {
        const std::lock_guard guard{lock_};
        note({}, "listens from " + (last_id_.empty() ? "the epoch" : last_id_));
    }
    perform(easy.get());
    const std::string failed = failure();
    if (!failed.empty()) throw std::runtime_error(failed);
}

/// However it ends, the next one goes on.
void follower::perform(CURL* stream) {
    curl_multi_add_handle(streams_.get(), stream);
    for (int running = 1; running > 0 && !ends_;) {
        curl_multi_perform(streams_.get(), &running);
        if (running > 0) curl_multi_poll(streams_.get(), nullptr, 0, longest_sleep_ms, nullptr);
    }
    curl_multi_remove_handle(streams_.get(), stream);
}

// libcurl is C: no exception may pass it.
std::size_t follower::take(const char* bytes, std::size_t size, std::size_t count, void* self) {
    auto& follows = *static_cast<follower*>(self);
    try {
        follows.take_text({bytes, size * count});
        return size * count;
    } catch (const std::exception& failed) {
        const std::lock_guard guard{follows.lock_};
        follows.failure_ = failed.what();
        return 0;
    }
}

void follower::take_text(std::string_view text) {
    unread_ += text;
    std::size_t from = 0;
    for (auto end = unread_.find('\n'); end != std::string::npos; end = unread_.find('\n', from)) {
        take_line(std::string_view{unread_}.substr(from, end - from));
        from = end + 1;
    }
    unread_.erase(0, from);
}

void follower::take_line(std::string_view line) {
    const auto value = [&](std::string_view name) {
        auto rest = line.substr(name.size());
        if (rest.starts_with(' ')) rest.remove_prefix(1);
        return std::string(rest);
    };
    if (line.empty())
        finish_event();
    else if (line.starts_with("event:"))
        event_.name = value("event:");
    else if (line.starts_with("id:"))
        event_.id = value("id:");
    else if (line.starts_with("data:"))
        event_.data += value("data:");
}

/// An id counts once its event is applied: a cut before that has it sent again.
void follower::finish_event() {
    if (event_.name == "changes") {
        const auto page = sync::parse_stored_json(event_.data);
        const auto* changes =
            page.as_object() != nullptr ? sync::find_member(*page.as_object(), "changes") : nullptr;
        if (changes == nullptr || changes->as_array() == nullptr)
            throw std::runtime_error("an event lacks its changes");
        const std::lock_guard guard{lock_};
        store_.receive(*changes->as_array());
        for (const auto& change : *changes->as_array())
            if (const auto* id = sync::find_member(*change.as_object(), "id"))
                note(*id->as_string(), "told up to " + event_.id + ": " + sync::to_json_text(change));
        last_told_ = std::chrono::steady_clock::now();
    }
    if (!event_.id.empty()) last_id_ = event_.id;
    event_ = {};
}

} // namespace mana::checker
