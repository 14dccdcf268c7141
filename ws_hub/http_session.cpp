#include "ws_hub/http_session.hpp"

#include "ws_hub/health.hpp"
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

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::hub {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
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

response wrong_method() {
    response made = make_error(http::status::method_not_allowed, "method_not_allowed",
                               "the endpoint does not know this method");
    made.set(http::field::allow, "GET, HEAD");
    return made;
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

/// The segments of the path, decoded. None where the target cannot be read.
std::vector<std::string> path_of(const upgrade_request& request) {
    std::vector<std::string> path;
    const auto target = boost::urls::parse_origin_form({request.target().data(), request.target().size()});
    if (!target) return path;
    for (const auto segment : target->segments()) path.push_back(segment);
    return path;
}

bool is_websocket_path(const std::vector<std::string>& path) {
    return !path.empty() && path[0] == "ws" && (path.size() == 1 || (path.size() == 2 && !path[1].empty()));
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

    void on_request(error_code failure) {
        if (is_unreadable(failure)) return answer(unreadable(failure));
        if (failure) return;
        const auto path = path_of(parser_.get());
        if (is_websocket_path(path) && beast::websocket::is_upgrade(parser_.get())) return upgrade(path);
        answer(respond_to(parser_.get().method(), path));
    }

    [[nodiscard]] response respond_to(http::verb method, const std::vector<std::string>& path) const {
        const bool health_asked = path.size() == 1 && path[0] == "health";
        const bool metrics_asked = path.size() == 1 && path[0] == "metrics";
        if (!health_asked && !metrics_asked && !is_websocket_path(path))
            return make_error(http::status::not_found, "not_found", "there is no such endpoint");
        if (method != http::verb::get && method != http::verb::head) return wrong_method();
        if (health_asked)
            return make_response(http::status::ok, "application/json",
                                 shared_.state.report(std::chrono::system_clock::now()));
        if (metrics_asked)
            return make_response(http::status::ok, "text/plain; version=0.0.4; charset=utf-8",
                                 shared_.state.metrics());
        return upgrade_required();
    }

    void upgrade(const std::vector<std::string>& path) {
        // A client that speaks before it was answered: its bytes would be lost.
        if (buffer_.size() > 0)
            return answer(make_error(http::status::bad_request, "bad_request", "data before the handshake"));
        std::optional<std::string> app;
        if (path.size() == 2) app = path[1];
        stream_.expires_never();
        start_websocket_session(shared_, stream_.release_socket(), parser_.release(), std::move(app));
    }

    void answer(response made) {
        response_ = std::move(made);
        if (parser_.get().method() == http::verb::head) response_.body().clear(); // Content-Length stays
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
