#include "ws_hub/http_session.hpp"

#include "shared/gate/token.hpp"
#include "shared/gate/user_gate.hpp"
#include "shared/http/names.hpp"
#include "shared/runtime/request_id.hpp"
#include "ws_hub/event_stream.hpp"
#include "ws_hub/health.hpp"
#include "ws_hub/stream_request.hpp"
#include "ws_hub/subscription_index.hpp"
#include "ws_hub/token_verifier.hpp"
#include "ws_hub/user_lookup.hpp"
#include "ws_hub/websocket_session.hpp"

#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace http_names = mana::http;
using asio::local::stream_protocol;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr auto request_within = 10s;
constexpr std::uint32_t header_limit = 16 * 1024;

using response = http::response<http::string_body>;

response make_response(http::status status, std::string_view type, std::string body) {
    response made{status, 11};
    made.set(http::field::content_type, type);
    made.set(http::field::cache_control, "no-store");
    made.keep_alive(false);
    made.body() = std::move(body);
    made.prepare_payload();
    return made;
}

response make_error(http::status status, std::string_view code, std::string_view message) {
    return make_response(status, "application/json",
                         boost::json::serialize(boost::json::object{{"error", code}, {"message", message}}));
}

response wrong_method(std::string_view allowed) {
    response made = make_error(http::status::method_not_allowed, "method_not_allowed",
                               "the endpoint does not know this method");
    made.set(http::field::allow, allowed);
    return made;
}

response foreign_origin() {
    return make_error(http::status::forbidden, "forbidden", "web apps of this origin may not connect");
}

response upgrade_required() {
    response made =
        make_error(http::status::upgrade_required, "upgrade_required", "this endpoint is a WebSocket");
    made.set(http::field::upgrade, "websocket");
    return made;
}

/// Bytes came, but they are no request that is served here.
bool is_unreadable(error_code failure) {
    return failure.category() == http::make_error_code(http::error::bad_method).category() &&
           failure != http::error::end_of_stream && failure != http::error::partial_message;
}

response unreadable(error_code failure) {
    if (failure == http::error::header_limit)
        return make_error(http::status::request_header_fields_too_large, "headers_too_large",
                          "the headers are too large");
    return make_error(http::status::bad_request, "bad_request", "the request could not be read");
}

std::string_view view(beast::string_view text) {
    return {text.data(), text.size()};
}

using path = std::vector<std::string>;

/// The segments of the path, decoded. None where it cannot be read.
path path_of(const upgrade_request& request) {
    const auto target = view(request.target());
    const auto parsed = boost::urls::parse_origin_form(target.substr(0, target.find('?')));
    path segments;
    if (!parsed) return segments;
    for (const auto segment : parsed->segments()) segments.push_back(segment);
    return segments;
}

std::string_view query_of(const upgrade_request& request) {
    const auto target = view(request.target());
    const auto mark = target.find('?');
    return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

bool is_websocket_path(const path& segments) {
    return !segments.empty() && segments[0] == "ws" &&
           (segments.size() == 1 || (segments.size() == 2 && http_names::is_app(segments[1])));
}

bool is_stream_path(const path& segments) {
    return segments.size() == 3 && segments[0] == "sync" && segments[2] == "stream" &&
           http_names::is_app(segments[1]);
}

response unavailable() {
    response made = make_error(http::status::service_unavailable, "unavailable",
                               "the service cannot answer right now, try again in a moment");
    made.set(http::field::retry_after, "5");
    return made;
}

response too_many_connections() {
    response made = make_error(http::status::too_many_requests, "too_many_connections",
                               "this user has too many open connections");
    made.set(http::field::retry_after, "30");
    return made;
}

response inactive() {
    response made =
        make_error(http::status::payment_required, "sync_inactive", "sync is not active for this account");
    made.set(http::field::retry_after, std::to_string(gate::user_gate::inactive_kept.count()));
    return made;
}

response unauthorized(gate::token_fault fault) {
    if (fault == gate::token_fault::keys_unavailable) return unavailable();
    response made = make_error(http::status::unauthorized, "unauthorized", gate::message(fault));
    made.set(http::field::www_authenticate, "Bearer");
    return made;
}

class http_session : public std::enable_shared_from_this<http_session> {
  public:
    http_session(const session_context& shared, stream_protocol::socket connected)
        : shared_(shared), stream_(std::move(connected)) {}

    void read_request() {
        parser_.header_limit(header_limit);
        stream_.expires_after(request_within);
        http::async_read_header(
            stream_, buffer_, parser_,
            [self = shared_from_this()](error_code failure, std::size_t) { self->on_request(failure); });
    }

  private:
    const session_context& shared_;
    beast::basic_stream<stream_protocol> stream_;
    beast::flat_buffer buffer_;
    http::request_parser<http::empty_body> parser_;
    response response_;
    http::response<http::empty_body> stream_head_;
    std::optional<http::response_serializer<http::empty_body>> head_serializer_;

    [[nodiscard]] const upgrade_request& request() const { return parser_.get(); }
    [[nodiscard]] std::string_view header(http::field name) const { return view(request()[name]); }

    void on_request(error_code failure) {
        if (is_unreadable(failure)) return answer(unreadable(failure));
        if (failure) return;
        const path asked = path_of(request());
        if (is_websocket_path(asked) && beast::websocket::is_upgrade(request())) return upgrade(asked);
        if (is_stream_path(asked)) return open_stream(asked[1]);
        answer(respond_to(asked));
    }

    [[nodiscard]] response respond_to(const path& asked) const {
        const bool health_asked = asked == path{"health"};
        const bool metrics_asked = asked == path{"metrics"};
        if (!health_asked && !metrics_asked && !is_websocket_path(asked))
            return make_error(http::status::not_found, "not_found", "there is no such endpoint");
        if (request().method() != http::verb::get && request().method() != http::verb::head)
            return wrong_method("GET, HEAD");
        if (health_asked)
            return make_response(http::status::ok, "application/json",
                                 shared_.state.report(std::chrono::system_clock::now()));
        if (metrics_asked)
            return make_response(http::status::ok, "text/plain; version=0.0.4; charset=utf-8",
                                 shared_.state.metrics_text());
        return upgrade_required();
    }

    // Browsers send the origin of the page, and let it connect to anyone (RFC 6455 §10.2).
    [[nodiscard]] bool may_connect() const {
        const auto origin = header(http::field::origin);
        return origin.empty() || std::ranges::find(shared_.origins, origin) != shared_.origins.end();
    }

    void upgrade(const path& asked) {
        if (!may_connect()) return answer(foreign_origin());
        // A client that speaks before it was answered: its bytes would be lost.
        if (buffer_.size() > 0)
            return answer(make_error(http::status::bad_request, "bad_request", "data before the handshake"));
        std::optional<std::string> app;
        if (asked.size() == 2) app = asked[1];
        stream_.expires_never();
        auto id = runtime::request_id(view(request()["X-Request-Id"]));
        start_websocket_session(shared_, stream_.release_socket(), parser_.release(),
                                {std::move(app), std::move(id)});
    }

    void open_stream(const std::string& app) {
        if (request().method() != http::verb::get) return answer(wrong_method("GET"));
        auto wanted = parse_stream_request(
            {app, query_of(request()), view(request()["X-Client-Id"]), view(request()["Last-Event-ID"])},
            shared_.page_rows);
        if (!wanted)
            return answer(make_error(http::status::bad_request, "invalid_request", wanted.error().message));
        const auto token = gate::bearer_token(header(http::field::authorization)).value_or("");
        shared_.verifier.verify(std::string(token), [self = shared_from_this(), wanted = std::move(*wanted)](
                                                        const gate::token_result& found) mutable {
            if (!found) return self->answer(unauthorized(found.error()));
            self->ask_for_standing({*found,
                                    std::string(view(self->request()["X-Client-Id"])),
                                    {},
                                    std::move(wanted),
                                    runtime::request_id(view(self->request()["X-Request-Id"]))});
        });
    }

    void ask_for_standing(stream_opening opening) {
        const std::string user = opening.who.user;
        shared_.users.ask(user, [self = shared_from_this(), opening = std::move(opening)](
                                    const std::optional<user_verdict>& found) mutable {
            if (!found || !found->spaces) return self->answer(unavailable());
            if (!found->may_sync) return self->answer(inactive());
            if (self->shared_.index.connections_of(opening.who.user) >= self->shared_.connections_of_user)
                return self->answer(too_many_connections());
            opening.spaces = *found->spaces;
            self->begin_stream(std::move(opening));
        });
    }

    void begin_stream(stream_opening opening) {
        stream_head_ = {http::status::ok, 11};
        stream_head_.set(http::field::content_type, "text/event-stream");
        stream_head_.set(http::field::cache_control, "no-store");
        stream_head_.set("X-Accel-Buffering", "no");
        stream_head_.keep_alive(false); // the body ends with the connection
        head_serializer_.emplace(stream_head_);
        stream_.expires_after(request_within);
        http::async_write_header(stream_, *head_serializer_,
                                 [self = shared_from_this(),
                                  opening = std::move(opening)](error_code failure, std::size_t) mutable {
                                     if (failure) return;
                                     self->stream_.expires_never();
                                     start_event_stream(self->shared_, self->stream_.release_socket(),
                                                        std::move(opening));
                                 });
    }

    void answer(response made) {
        response_ = std::move(made);
        if (request().method() == http::verb::head) response_.body().clear(); // Content-Length stays
        stream_.expires_after(request_within);
        http::async_write(stream_, response_, [self = shared_from_this()](error_code, std::size_t) {
            error_code ignored;
            self->stream_.socket().shutdown(stream_protocol::socket::shutdown_send, ignored);
        });
    }
};

} // namespace

void start_http_session(const session_context& shared, stream_protocol::socket connected) {
    std::make_shared<http_session>(shared, std::move(connected))->read_request();
}

} // namespace mana::hub
