#include "tests/checker/link.hpp"

#include <algorithm>
#include <stdexcept>
#include <thread>

namespace mana::checker {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

void recovery::strike(const std::string& kind, time when) {
    const std::lock_guard guard{lock_};
    kind_ = kind;
    struck_ = when;
    back_.reset();
}

void recovery::back() {
    const std::lock_guard guard{lock_};
    back_ = steady_clock::now();
}

void recovery::succeeded(time began, time first_began) {
    const std::lock_guard guard{lock_};
    const auto passed_since = [now = steady_clock::now()](time when) {
        return std::chrono::duration_cast<milliseconds>(now - when);
    };
    longest_push_ = std::max(longest_push_, passed_since(first_began));
    if (back_ && first_began < *back_) {
        auto& longest = longest_after_end_[kind_];
        longest = std::max(longest, passed_since(*back_));
    }
    if (!struck_ || began < *struck_) return;
    last_ = passed_since(*struck_);
    longest_[kind_] = std::max(longest_[kind_], last_);
    struck_.reset();
}

bool recovery::pending() const {
    const std::lock_guard guard{lock_};
    return struck_.has_value();
}

milliseconds recovery::last() const {
    const std::lock_guard guard{lock_};
    return last_;
}

std::map<std::string, milliseconds> recovery::longest() const {
    const std::lock_guard guard{lock_};
    return longest_;
}

std::map<std::string, milliseconds> recovery::longest_after_end() const {
    const std::lock_guard guard{lock_};
    return longest_after_end_;
}

milliseconds recovery::longest_push() const {
    const std::lock_guard guard{lock_};
    return longest_push_;
}

namespace {

/// The server was overloaded, away, or in doubt: the same may be sent again.
bool is_passing(long status) {
    return status == 429 || status >= 500;
}

std::string said(const end_to_end::http_reply& reply) {
    return std::to_string(reply.status) + ' ' + reply.body;
}

} // namespace

link::link(link_means& means, std::string token)
    : means_(means), token_(std::move(token)), http_(means.url) {}

end_to_end::http_client::header_lines link::headers_of(const history::caller& who) const {
    return {"Authorization: Bearer " + token_, "X-Client-Id: " + who.client};
}

/// `attempt` gives nothing where it is worth another try.
template<class Attempt>
std::string link::persist(Attempt attempt) {
    const auto until = steady_clock::now() + means_.patience;
    for (milliseconds pause = 10ms;; pause = std::min(pause * 2, milliseconds{250})) {
        if (auto body = attempt()) return std::move(*body);
        if (steady_clock::now() > until)
            throw std::runtime_error("the server did not come back in time: " + last_failure_);
        ++means_.retries;
        std::this_thread::sleep_for(pause);
    }
}

template<class Request>
std::optional<end_to_end::http_reply> link::answer_to(Request request) {
    try {
        auto reply = request();
        if (is_passing(reply.status)) last_failure_ = said(reply);
        return reply;
    } catch (const end_to_end::no_reply_in_time& hung) {
        last_failure_ = hung.what();
        ++means_.hung;
    } catch (const std::runtime_error& no_reply) {
        last_failure_ = no_reply.what();
    }
    return std::nullopt;
}

std::string link::push(const history::caller& who, const std::string& body) {
    const auto parsed = sync::parse_stored_json(body);
    return persist([&, first = steady_clock::now()] { return try_push(who, body, parsed, first); });
}

std::optional<std::string> link::try_push(const history::caller& who, const std::string& body,
                                          const sync::json_value& parsed, recovery::time first_began) {
    const auto request = means_.book.begin(parsed);
    const auto began = steady_clock::now();
    auto reply = answer_to([&] { return http_.post("/sync/" + means_.app, body, headers_of(who)); });
    if (reply && reply->status == 429) {
        means_.book.refused(request);
        return std::nullopt;
    }
    if (!reply || is_passing(reply->status)) {
        means_.book.unanswered(request);
        return std::nullopt;
    }
    if (reply->status != 200) throw std::runtime_error("a push was answered with " + said(*reply));
    means_.book.answered(request, sync::parse_stored_json(reply->body));
    means_.after_faults.succeeded(began, first_began);
    return std::move(reply->body);
}

std::string link::pull(const history::caller& who, const std::string& table, const std::string& since,
                       bool include_own) {
    // Neither tables nor cursors hold a character that a query would have to escape.
    const auto path = "/sync/" + means_.app + "/pull?collection=" + table + "&since=" + since +
                      (include_own ? "&includeOwn=true" : "");
    return persist([&]() -> std::optional<std::string> {
        auto reply = answer_to([&] { return http_.get(path, headers_of(who)); });
        if (!reply || is_passing(reply->status)) return std::nullopt;
        if (reply->status != 200) throw std::runtime_error("a pull was answered with " + said(*reply));
        return std::move(reply->body);
    });
}

} // namespace mana::checker
