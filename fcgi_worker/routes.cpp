#include "fcgi_worker/routes.hpp"

#include "fcgi_worker/spaces.hpp"
#include "shared/gate/token.hpp"
#include "shared/http/names.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace mana::fcgi_worker {
namespace {

enum class endpoint { push, pull };

struct route {
    endpoint to;
    std::string app;
};

constexpr std::string_view prefix = "/sync/";
constexpr std::string_view pull_suffix = "/pull";

std::optional<route> find_route(std::string_view path) {
    if (!path.starts_with(prefix)) return std::nullopt;
    path.remove_prefix(prefix.size());
    const bool pulls = path.ends_with(pull_suffix);
    if (pulls) path.remove_suffix(pull_suffix.size());
    if (!http::is_app(path)) return std::nullopt;
    return route{pulls ? endpoint::pull : endpoint::push, std::string{path}};
}

std::string_view method_of(endpoint to) {
    return to == endpoint::push ? "POST" : "GET";
}

http_response wrong_method(endpoint to) {
    const std::string allowed{method_of(to)};
    auto response = error_response(405, "method_not_allowed", "this endpoint takes " + allowed + " only");
    response.headers.emplace_back("Allow", allowed);
    return response;
}

http_response unauthorized(gate::token_fault fault) {
    auto response = error_response(401, "unauthorized", gate::message(fault));
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
}

http_response inactive() {
    auto response = error_response(402, "sync_inactive", "sync is not active for this account");
    response.headers.emplace_back("Retry-After", std::to_string(gate::user_gate::inactive_kept.count()));
    return response;
}

http_response too_many(std::chrono::milliseconds wait) {
    auto response = error_response(429, "too_many_requests",
                                   "too many requests of this device or this user, try again later");
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait);
    response.headers.emplace_back("Retry-After", std::to_string(seconds.count()));
    return response;
}

http_response unreadable(std::string_view message) {
    return error_response(400, "invalid_request", message);
}

http_response unsupported_encoding() {
    auto response = error_response(415, "unsupported_encoding",
                                   "a body may come as it is or with Content-Encoding: gzip");
    response.headers.emplace_back("Accept-Encoding", "gzip"); // RFC 9110 §12.5.3
    return response;
}

http_response refused(body_fault fault) {
    switch (fault) {
    case body_fault::too_large:
        return error_response(
            413, "body_too_large",
            "a body may have 10 MB at most, also before gzip: send fewer changes at a time");
    case body_fault::unknown_encoding:
        return unsupported_encoding();
    case body_fault::malformed:
        return unreadable("Content-Length is no number");
    case body_fault::no_gzip:
        return unreadable("the body is not what gzip makes, as Content-Encoding says");
    case body_fault::gzip_cut_short:
        return unreadable("the body ends before its gzip stream does");
    case body_fault::after_gzip:
        return unreadable("the body goes on after its gzip stream");
    case body_fault::incomplete:
        break;
    }
    return unreadable("the body is shorter than Content-Length says");
}

std::string_view token_in(const http_request& request) {
    return gate::bearer_token(request.authorization).value_or(std::string_view{});
}

gate::token_result verify(std::string_view token, gate::token_cache& tokens) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return tokens.verify(token, now, gate::key_set::clock::now());
}

static_assert(static_cast<std::size_t>(store::remedy::report) + 1 == metrics::remedy_names.size());

constexpr std::string_view later = "the service cannot answer right now, try again in a moment";

} // namespace

metrics::route route_of(std::string_view path) {
    const auto found = find_route(path);
    if (!found) return metrics::route::other;
    return found->to == endpoint::pull ? metrics::route::pull : metrics::route::push;
}

routes::routes(gate::key_set& keys, request_rate& rate, gate::user_gate& users, store::database& tables,
               push_handler& pushes, metrics::worker_counters& counted, std::chrono::milliseconds patience,
               int page_rows)
    : tokens_{keys}, rate_{rate}, users_{users}, tables_{tables}, pushes_{pushes}, counted_{counted},
      patience_{patience}, page_rows_{page_rows} {}

http_response routes::answer(const http_request& request, const body_reader& read_body) {
    try {
        return dispatch(request, read_body);
    } catch (const store::postgres_error& error) {
        counted_.postgres_failures[static_cast<std::size_t>(error.next())].add();
        const bool defect = error.next() == store::remedy::report;
        return failed(request, defect ? 500 : 503, error.what());
    } catch (const unavailable& error) {
        return failed(request, 503, error.what());
    } catch (const std::exception& error) {
        return failed(request, 500, error.what());
    }
}

http_response routes::dispatch(const http_request& request, const body_reader& read_body) {
    if (request.waited > patience_) return failed(request, 503, "waited too long for a worker");
    const auto found = find_route(request.path);
    if (!found) return error_response(404, "not_found", "there is no such endpoint");
    if (request.method != method_of(found->to)) return wrong_method(found->to);

    const auto token = token_in(request);
    const auto who = verify(token, tokens_);
    if (!who && who.error() == gate::token_fault::keys_unavailable)
        return failed(request, 503, gate::message(who.error()));
    if (!who) return unauthorized(who.error());

    const sender from{who->user, token, request.client_id};
    if (const auto wait = rate_.refuse(from, std::chrono::steady_clock::now())) return too_many(*wait);

    const call made{request, found->app, who->user, std::chrono::steady_clock::now() + patience_};
    if (!users_.may_sync(made.user, tables_, made.until)) return inactive();
    if (found->to == endpoint::pull) return pull(made, users_, tables_, page_rows_);
    const auto body = read_body(made.until);
    if (!body) return refused(body.error());
    return pushes_.handle(made, *body);
}

// A 500 is always worth a line; while a part of the service is away, one a second says enough.
http_response routes::failed(const http_request& request, int status, std::string_view reason) {
    if (status == 500) {
        runtime::log::error("request_failed",
                            {{"id", request.request_id}, {"path", request.path}, {"reason", reason}});
        return error_response(500, "internal", "the server failed on this request");
    }
    if (const auto suppressed = unavailable_.admit(std::chrono::steady_clock::now()))
        runtime::log::warn("request_unavailable", {{"id", request.request_id},
                                                   {"path", request.path},
                                                   {"reason", reason},
                                                   {"suppressed", *suppressed}});
    return unavailable_response(later);
}

} // namespace mana::fcgi_worker
