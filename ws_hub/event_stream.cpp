#include "ws_hub/event_stream.hpp"

#include "shared/store/scopes.hpp"
#include "ws_hub/closed_connection.hpp"
#include "ws_hub/ending.hpp"
#include "ws_hub/fan_out.hpp"
#include "ws_hub/metrics.hpp"
#include "ws_hub/page_pool.hpp"
#include "ws_hub/stream_events.hpp"
#include "ws_hub/subscription_index.hpp"
#include "ws_hub/user_lookup.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <utility>

namespace mana::hub {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using namespace std::chrono_literals;

constexpr std::chrono::seconds heartbeat_every = 30s;
constexpr auto written_within = 20s; // one event, by a client that reads at all
constexpr auto close_within = 2s;
constexpr std::chrono::seconds page_retried_after = 1s;
constexpr std::chrono::milliseconds longest_wait = 1h; // the wall clock may have been set meanwhile
constexpr std::size_t idle_buffer = 1024;

/// When to come back, so that the clients of a hub that is started again do not come all at once.
std::string retry_field() {
    static std::minstd_rand random{std::random_device{}()};
    std::uniform_int_distribution<int> milliseconds{1'000, 5'000};
    return "retry: " + std::to_string(milliseconds(random)) + "\n\n";
}

bool names_any(const std::vector<std::string>& wanted, const std::vector<std::string>& changed) {
    return wanted.empty() || std::ranges::any_of(changed, [&](const std::string& table) {
               return table == store::any_table || std::ranges::find(wanted, table) != wanted.end();
           });
}

/// All on the io thread. Owned by the operations that are under way: one read, one write, one wait, one page.
class event_stream final : public subscriber, public std::enable_shared_from_this<event_stream> {
  public:
    event_stream(const session_context& shared, stream_protocol::socket connected, stream_opening opening)
        : shared_(shared), who_(std::move(opening.who)), client_(std::move(opening.client)),
          spaces_(std::move(opening.spaces)), wanted_(std::move(opening.first)),
          request_id_(std::move(opening.request_id)), socket_(std::move(connected)),
          timer_(socket_.get_executor()) {}

    /// Listens before it reads: what is pushed while a page is read makes it read again. What is to be
    /// written first is there before either: who listens may hear at once.
    void start() {
        told_id_ = wanted_.since;
        outgoing_ = retry_field();
        shared_.counts.opened(connection_kind::stream);
        shared_.index.add(*this);
        listen();
        fall_behind();
        watch_client();
        advance();
        wait();
    }

    void hear(const store::notification& told) override {
        if (told.app != wanted_.app || !names_any(wanted_.tables, told.tables)) return;
        if (behind_) shared_.counts.coalesced();
        fall_behind();
        if (!published_at_) published_at_ = told.published_at;
        advance();
    }

    void dismiss() override {
        asio::post(socket_.get_executor(), [self = shared_from_this()] { self->end(endings::hub_stops); });
    }

  private:
    const session_context& shared_;
    const gate::identity who_;
    const std::chrono::sys_seconds until_ = gate::ends_at(who_, system_clock::now());
    const std::string client_;
    std::vector<std::string> spaces_;
    steady_clock::time_point standing_asked_at_ = steady_clock::now() + shared_.users.holds_for(); // next
    store::page_request wanted_; // `since` is what the client has been sent, or what is being written
    const std::string request_id_;
    stream_protocol::socket socket_;
    asio::steady_timer timer_; // the earliest of all that is waited for
    const steady_clock::time_point since_ = steady_clock::now();

    bool behind_ = false;  // there may be more in the log than the page that was asked for last
    bool reading_ = false; // a page is under way
    std::optional<steady_clock::time_point> retry_at_; // the last page could not be read
    std::optional<sync::position> published_at_;       // of the first push that waits to be told

    // One page of events at most, or less. While a page is under way it is empty, and nothing is being
    // written: the page takes its place.
    std::string outgoing_;
    bool writing_ = false;
    steady_clock::time_point written_by_;
    steady_clock::time_point heartbeat_at_ = since_ + heartbeat_every;
    sync::cursor told_id_; // the last id that the client was sent

    std::array<char, 64> ignored_{}; // what the client sends
    const ending* ending_ = nullptr; // once set, nothing is read, and nothing but what waits is written
    bool closed_ = false;

    [[nodiscard]] store::reader reader() const { return {who_.user, client_, spaces_}; }

    bool listen() {
        return shared_.news.listen_to(*this, store::subscriptions_of(reader()), steady_clock::now());
    }

    /// Who joins or leaves a space does so on open streams too; and so does who stops paying.
    void ask_for_standing() {
        standing_asked_at_ = steady_clock::now() + shared_.users.holds_for();
        shared_.users.ask(who_.user, [self = shared_from_this()](const std::optional<user_verdict>& found) {
            // While PostgreSQL does not answer, there is nothing to be shown either.
            if (self->ending_ == nullptr && found) self->take_standing(*found);
        });
    }

    void take_standing(const user_verdict& found) {
        if (!found.may_sync) return end(endings::sync_inactive);
        if (!found.spaces) return end(endings::spaces_unknown);
        spaces_ = *found.spaces;
        if (!listen()) return;
        fall_behind();
        advance();
    }

    void fall_behind() {
        if (!std::exchange(behind_, true)) shared_.counts.began_to_wait();
    }

    void catch_up() {
        if (std::exchange(behind_, false)) shared_.counts.ended_to_wait();
    }

    /// The next thing to do, one at a time: a page is read only when the one before it has been written.
    void advance() {
        if (writing_ || closed_) return;
        if (!outgoing_.empty()) return write();
        if (ending_ != nullptr) return cut();
        if (behind_ && !reading_ && !retry_at_) read_page();
    }

    // Reading.

    void read_page() {
        catch_up();
        reading_ = true;
        shared_.pages.read(reader(), wanted_, request_id_,
                           [self = shared_from_this()](std::optional<stream_page> page) {
                               self->reading_ = false;
                               if (self->ending_ != nullptr) return;
                               if (page)
                                   self->take(std::move(*page));
                               else
                                   self->try_later();
                               self->advance();
                           });
    }

    void take(stream_page page) {
        wanted_.since = page.until;
        if (page.has_more) fall_behind();
        if (page.events.empty()) {
            published_at_.reset(); // nothing of it was for this client
            return;
        }
        outgoing_ = std::move(page.events);
        told_id_ = page.until;
    }

    void try_later() {
        fall_behind();
        retry_at_ = steady_clock::now() + page_retried_after;
        wait();
    }

    /// A client has nothing to say here; that it is gone would else be noticed at the next heartbeat only.
    void watch_client() {
        socket_.async_read_some(asio::buffer(ignored_),
                                [self = shared_from_this()](error_code failure, std::size_t) {
                                    if (failure) return self->vanish(endings::client_gone);
                                    self->watch_client();
                                });
    }

    // Writing.

    void write() {
        writing_ = true;
        written_by_ = steady_clock::now() + (ending_ == nullptr ? written_within : close_within);
        asio::async_write(socket_, asio::buffer(outgoing_),
                          [self = shared_from_this()](error_code failure, std::size_t) {
                              self->writing_ = false;
                              if (failure) return self->vanish(endings::client_gone);
                              self->wrote();
                          });
        if (timer_.expiry() > written_by_) wait();
    }

    void wrote() {
        outgoing_.clear();
        if (outgoing_.capacity() > idle_buffer) outgoing_.shrink_to_fit();
        shared_.counts.sent(connection_kind::stream);
        if (const auto published = std::exchange(published_at_, std::nullopt))
            shared_.counts.told_after(system_clock::now() - *published);
        advance();
    }

    /// Not while a page is on its way: that would have to wait for this to be written.
    void beat() {
        heartbeat_at_ = steady_clock::now() + (reading_ ? page_retried_after : heartbeat_every);
        if (reading_ || !outgoing_.empty()) return;
        const bool moved = wanted_.since != std::exchange(told_id_, wanted_.since);
        outgoing_ = heartbeat_event(moved ? &wanted_.since : nullptr);
    }

    // Waiting.

    void wait() {
        if (closed_) return;
        timer_.expires_at(next_deadline());
        timer_.async_wait([self = shared_from_this()](error_code cancelled) {
            if (!cancelled) self->waited();
        });
    }

    [[nodiscard]] steady_clock::time_point next_deadline() const {
        if (ending_ != nullptr) return written_by_;
        auto next = std::min({heartbeat_at_, standing_asked_at_, expires_at()});
        if (retry_at_) next = std::min(next, *retry_at_);
        if (writing_) next = std::min(next, written_by_);
        return next;
    }

    [[nodiscard]] std::chrono::milliseconds left() const {
        return std::chrono::ceil<std::chrono::milliseconds>(until_ - system_clock::now());
    }

    [[nodiscard]] steady_clock::time_point expires_at() const {
        return steady_clock::now() + std::clamp<std::chrono::milliseconds>(left(), 0ms, longest_wait);
    }

    void waited() {
        const auto now = steady_clock::now();
        if (writing_ && now >= written_by_) return vanish(endings::too_slow);
        if (ending_ == nullptr && left() <= 0ms) end(endings::token_expired);
        if (ending_ == nullptr && now >= standing_asked_at_) ask_for_standing();
        if (ending_ == nullptr && now >= heartbeat_at_) beat();
        if (retry_at_ && now >= *retry_at_) retry_at_.reset();
        advance();
        wait();
    }

    // Ending. The first reason counts.

    void end(const ending& why) {
        if (ending_ != nullptr) return;
        decide(why);
        if (writing_) {
            written_by_ = std::min(written_by_, steady_clock::now() + close_within);
            return wait();
        }
        outgoing_ += comment(why.reason);
        advance();
    }

    /// The connection is no more.
    void vanish(const ending& why) {
        if (ending_ == nullptr) decide(why);
        cut();
    }

    void decide(const ending& why) {
        ending_ = &why;
        shared_.index.remove(*this);
        catch_up();
        report(shared_.counts, {connection_kind::stream, request_id_, who_.user, since_}, why);
    }

    void cut() {
        closed_ = true;
        timer_.cancel();
        error_code ignored;
        socket_.close(ignored);
    }
};

} // namespace

void start_event_stream(const session_context& shared, stream_protocol::socket connected,
                        stream_opening opening) {
    std::make_shared<event_stream>(shared, std::move(connected), std::move(opening))->start();
}

} // namespace mana::hub
