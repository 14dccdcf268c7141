#include "ws_hub/websocket_session.hpp"

#include "shared/store/scopes.hpp"
#include "ws_hub/closed_connection.hpp"
#include "ws_hub/ending.hpp"
#include "ws_hub/fan_out.hpp"
#include "ws_hub/messages.hpp"
#include "ws_hub/metrics.hpp"
#include "ws_hub/subscription_index.hpp"
#include "ws_hub/token_verifier.hpp"
#include "ws_hub/user_lookup.hpp"
#include "ws_hub/waiting_news.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>

namespace mana::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using asio::local::stream_protocol;
using boost::system::error_code;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using namespace std::chrono_literals;

constexpr auto handshake_within = 10s;
constexpr auto auth_within = 10s;
constexpr auto written_within = 20s; // one message, by a client that reads at all
constexpr auto close_within = 2s;    // the peer's part of a goodbye; then the socket is cut
constexpr auto silent_at_most =
    60s; // a ping goes out after half of it: other proxies cut what idles for 60 s
constexpr std::chrono::milliseconds longest_wait = 1h;       // the wall clock may have been set meanwhile
constexpr std::chrono::milliseconds spaces_asked_again = 5s; // where there was no answer
constexpr std::size_t message_limit = 16'384;
// A message beyond its limit is read to its end before it is refused: a connection that closes with bytes
// unread is reset, and its client never sees why. One beyond this limit is cut off all the same.
constexpr std::size_t cut_limit = 4 * message_limit;
constexpr std::size_t idle_buffer = 1024;

const ending& ending_of(error_code failure) {
    if (failure == websocket::error::closed) return endings::client_closed;
    if (failure == websocket::error::message_too_big) return endings::message_too_big;
    if (failure == beast::error::timeout) return endings::client_silent;
    if (failure.category() == make_error_code(websocket::error::closed).category())
        return endings::protocol_error;
    return endings::client_gone;
}

/// All on the io thread. Owned by the operations that are under way: one read or verification, one write, one
/// wait.
class websocket_session final : public subscriber, public std::enable_shared_from_this<websocket_session> {
  public:
    websocket_session(const session_context& shared, stream_protocol::socket connected,
                      websocket_opening opening)
        : shared_(shared), app_(std::move(opening.app)), request_id_(std::move(opening.request_id)),
          ws_(std::move(connected)), timer_(ws_.get_executor()) {}

    void accept(upgrade_request upgrade) {
        ws_.set_option(websocket::stream_base::timeout{handshake_within, silent_at_most, true});
        ws_.read_message_max(cut_limit);
        auto request = std::make_unique<upgrade_request>(std::move(upgrade));
        const upgrade_request& named = *request;
        ws_.async_accept(named,
                         [self = shared_from_this(), request = std::move(request)](error_code failure) {
                             if (!failure) self->open();
                         });
    }

    void hear(const store::notification& told) override {
        if (app_ && *app_ != told.app) return;
        if (!client_.empty() && client_ == told.client && user_ == told.user) return;
        if (pending_.empty())
            shared_.counts.began_to_wait();
        else
            shared_.counts.coalesced();
        pending_.add(told.app, told.tables);
        if (!published_at_) published_at_ = told.published_at;
        write_next();
    }

    void dismiss() override { end_later(endings::hub_stops); }

  private:
    const session_context& shared_;
    const std::optional<std::string> app_;
    const std::string request_id_;
    websocket::stream<stream_protocol::socket, false> ws_; // no deflate: it costs 90 kB a connection
    asio::steady_timer timer_; // until auth, then until the token ends, then until the goodbye must be over
    const steady_clock::time_point since_ = steady_clock::now();
    const steady_clock::time_point auth_by_ = since_ + auth_within;

    std::string user_;   // empty: not authenticated
    std::string client_; // whose pushes are not told; may be empty
    std::chrono::sys_seconds until_{};
    steady_clock::time_point spaces_asked_at_ = steady_clock::time_point::max(); // next

    beast::flat_buffer incoming_;

    // What waits to be written, bounded each: however many notifications come, they are told as one set.
    std::string last_words_;
    std::size_t auth_oks_ = 0;
    std::size_t pongs_ = 0;
    bool unknown_type_ = false; // a message was of a type that is not known; said once for all that wait
    waiting_news pending_;
    std::optional<sync::position> published_at_; // of the first push that waits to be told

    std::string outgoing_; // what is being written
    std::optional<sync::position> outgoing_published_at_;
    bool writing_ = false;
    steady_clock::time_point written_by_;
    const ending* ending_ =
        nullptr; // once set, nothing is read, and nothing comes to what waits but last words
    bool closing_ = false;

    void open() {
        shared_.counts.opened(connection_kind::websocket);
        shared_.index.add(*this);
        wait_until(auth_by_);
        read_next();
    }

    // Reading.

    void read_next() {
        ws_.async_read(incoming_, [self = shared_from_this()](error_code failure, std::size_t) {
            if (self->ending_ != nullptr) return;
            if (failure) return self->vanish(ending_of(failure));
            self->take_message();
        });
    }

    void take_message() {
        if (incoming_.size() > message_limit) return end(endings::message_too_big);
        if (ws_.got_binary()) return end(endings::binary_message);
        const auto bytes = incoming_.cdata();
        auto message = parse_client_message({static_cast<const char*>(bytes.data()), bytes.size()});
        incoming_.clear();
        if (incoming_.capacity() > idle_buffer) incoming_.shrink_to_fit(); // a token needs it once an hour
        if (!message) return refuse(endings::malformed_message, "a message is a JSON object with a type");
        handle(std::move(*message));
    }

    void handle(client_message message) {
        if (message.kind == message_kind::auth) return verify(std::move(message));
        if (message.kind == message_kind::ping) {
            ++pongs_;
            write_next();
        } else if (user_.empty()) {
            return refuse(endings::not_authenticated, "the first message must be auth");
        } else {
            unknown_type_ = true;
            write_next();
        }
        read_next();
    }

    // Who it is.

    /// Nothing is read meanwhile, so a connection has one verification under way at most.
    void verify(client_message auth) {
        shared_.verifier.verify(
            std::move(auth.token),
            [self = shared_from_this(), client = std::move(auth.client)](const gate::token_result& found) {
                if (self->ending_ == nullptr) self->take_verdict(found, client);
            });
    }

    void take_verdict(const gate::token_result& found, const std::string& client) {
        if (!found) {
            const bool ours = found.error() == gate::token_fault::keys_unavailable;
            return refuse(ours ? endings::keys_unavailable : endings::token_refused,
                          gate::message(found.error()));
        }
        if (!user_.empty() && user_ != found->user)
            return refuse(endings::other_user, "a connection belongs to one user; open another one");
        if (!shared_.users.spaces_shared()) return admit(*found, client, user_verdict{true, {{}}});
        shared_.users.ask(found->user, [self = shared_from_this(), who = *found,
                                        client](const std::optional<user_verdict>& standing) {
            if (self->ending_ == nullptr) self->admit(who, client, standing);
        });
    }

    /// Where nothing is known of its spaces it hears of its own pushes, and of theirs, those of the meantime
    /// too, as soon as they are known.
    void admit(const gate::identity& who, const std::string& client,
               const std::optional<user_verdict>& standing) {
        if (user_.empty() && shared_.index.connections_of(who.user) >= shared_.connections_of_user)
            return refuse(endings::too_many_connections, "this user has too many open connections");
        user_ = who.user;
        client_ = client;
        until_ = gate::ends_at(who, system_clock::now());
        ++auth_oks_;
        listen(standing);
        wait_for_expiry();
        write_next();
        read_next();
    }

    void listen(const std::optional<user_verdict>& standing) {
        const bool known = standing && standing->spaces;
        const auto spaces = known ? *standing->spaces : std::vector<std::string>{};
        const auto now = steady_clock::now();
        if (!known) shared_.news.await_listeners(now);
        shared_.news.listen_to(*this, store::subscriptions_of({user_, client_, spaces}), now);
        if (shared_.users.spaces_shared())
            spaces_asked_at_ = now + (known ? shared_.users.holds_for() : spaces_asked_again);
    }

    /// Who joins or leaves a space does so on open connections too.
    void ask_for_spaces() {
        spaces_asked_at_ = steady_clock::now() + shared_.users.holds_for();
        shared_.users.ask(user_, [self = shared_from_this()](const std::optional<user_verdict>& standing) {
            // While PostgreSQL does not answer, nothing can have changed for us.
            if (self->ending_ == nullptr && standing) self->listen(standing);
        });
    }

    // Writing.

    void write_next() {
        if (writing_ || closing_) return;
        if (!next_outgoing()) {
            if (ending_ != nullptr) close();
            return;
        }
        writing_ = true;
        written_by_ = steady_clock::now() + written_within;
        ws_.async_write(asio::buffer(outgoing_),
                        [self = shared_from_this()](error_code failure, std::size_t) {
                            self->writing_ = false;
                            if (failure) return self->vanish(endings::client_gone);
                            self->wrote();
                        });
        // One that is set to a later moment sets itself anew when it comes: a write is mostly over at once.
        if (ending_ == nullptr && timer_.expiry() > written_by_) wait_until(written_by_);
    }

    void wrote() {
        shared_.counts.sent(connection_kind::websocket);
        if (const auto published = std::exchange(outgoing_published_at_, std::nullopt))
            shared_.counts.told_after(system_clock::now() - *published);
        if (outgoing_.capacity() > idle_buffer) outgoing_ = {};
        write_next();
    }

    bool next_outgoing() {
        if (!last_words_.empty()) {
            outgoing_ = std::exchange(last_words_, {});
            return true;
        }
        if (auth_oks_ > 0) {
            --auth_oks_;
            outgoing_ = auth_ok_message;
            return true;
        }
        if (pongs_ > 0) {
            --pongs_;
            outgoing_ = pong_message;
            return true;
        }
        if (std::exchange(unknown_type_, false)) {
            outgoing_ = error_message("the type of the message is not known");
            return true;
        }
        if (pending_.empty()) return false;
        const auto [app, tables] = pending_.take();
        if (pending_.empty()) shared_.counts.ended_to_wait();
        outgoing_ = sync_available_message(app, tables);
        outgoing_published_at_ = std::exchange(published_at_, std::nullopt);
        return true;
    }

    // Waiting.

    void wait_until(steady_clock::time_point then) {
        timer_.expires_at(then);
        timer_.async_wait([self = shared_from_this()](error_code cancelled) {
            const bool set_anew = self->timer_.expiry() > steady_clock::now();
            if (!cancelled && !set_anew) self->waited();
        });
    }

    /// Until the token ends, or what is being written should have been.
    void wait_for_expiry() {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - system_clock::now());
        auto then = steady_clock::now() + std::clamp<std::chrono::milliseconds>(left, 0ms, longest_wait);
        if (writing_) then = std::min(then, written_by_);
        wait_until(std::min(then, spaces_asked_at_));
    }

    void waited() {
        if (ending_ != nullptr) return cut();
        if (writing_ && steady_clock::now() >= written_by_) return vanish(endings::too_slow);
        if (user_.empty())
            return steady_clock::now() < auth_by_ ? wait_until(auth_by_) : end(endings::auth_timeout);
        if (system_clock::now() >= until_) return end(endings::token_expired);
        if (steady_clock::now() >= spaces_asked_at_) ask_for_spaces();
        wait_for_expiry();
    }

    // Ending. The first reason counts.

    /// With an error message, then the close frame.
    void refuse(const ending& why, std::string_view message) {
        decide(why);
        last_words_ = error_message(message);
        write_next();
    }

    void end(const ending& why) {
        if (ending_ != nullptr) return;
        decide(why);
        write_next();
    }

    /// For callers that walk the index, which end() changes.
    void end_later(const ending& why) {
        asio::post(ws_.get_executor(), [self = shared_from_this(), &why] { self->end(why); });
    }

    /// The connection is no more.
    void vanish(const ending& why) {
        if (ending_ == nullptr) decide(why);
        cut();
    }

    void decide(const ending& why) {
        ending_ = &why;
        shared_.index.remove(*this);
        // A hub that stops still says what it knows.
        if (ending_ != &endings::hub_stops) drop_what_waits();
        wait_until(steady_clock::now() + close_within);
        report(shared_.counts, {connection_kind::websocket, request_id_, user_, since_}, why);
    }

    void drop_what_waits() {
        auth_oks_ = pongs_ = 0;
        unknown_type_ = false;
        if (!pending_.empty()) shared_.counts.ended_to_wait();
        pending_.clear();
    }

    void close() {
        closing_ = true;
        const websocket::close_reason reason{static_cast<websocket::close_code>(ending_->close_code),
                                             {ending_->reason.data(), ending_->reason.size()}};
        ws_.async_close(reason, [self = shared_from_this()](error_code) { self->cut(); });
    }

    void cut() {
        timer_.cancel();
        error_code ignored;
        beast::get_lowest_layer(ws_).close(ignored);
    }
};

} // namespace

void start_websocket_session(const session_context& shared, stream_protocol::socket connected,
                             upgrade_request upgrade, websocket_opening opening) {
    std::make_shared<websocket_session>(shared, std::move(connected), std::move(opening))
        ->accept(std::move(upgrade));
}

} // namespace mana::hub
