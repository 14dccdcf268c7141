#include "fcgi_worker/fastcgi_request.hpp"

#include "shared/runtime/request_id.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/time.h>
#include <system_error>

namespace mana::fcgi_worker {
namespace {

using namespace std::chrono_literals;

// For one read. nginx has the whole body before it begins, and then sends all at once.
constexpr std::chrono::seconds head_patience{1};
constexpr std::chrono::seconds body_patience{5};

// No more than libfcgi's buffer, which it writes at once. Its one way to a larger one, FCGX_CreateWriter with
// 64 KB, leaks some bytes for each answer, as its source says, and saves 0.035 ms of the 11.6 ms of processor
// time that a worker needs for a page of 437 KB.
constexpr std::size_t chunk_bytes = 8'000;

constexpr std::string_view digits = "0123456789";

// Milliseconds since nginx passed the request on, by REQUEST_START ($msec: "1700000000.123"). Both run on
// one host: between them is a unix socket.
std::chrono::milliseconds since(std::string_view started) {
    double seconds = 0;
    const auto [end, failure] = std::from_chars(started.data(), started.data() + started.size(), seconds);
    if (failure != std::errc{} || !std::isfinite(seconds)) return 0ms;
    const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
    const double waited = now.count() - seconds;
    // A clock that was set is no wait: nginx itself gives up after a minute.
    if (waited < 0 || waited > 3600) return 0ms;
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::duration<double>(waited));
}

void limit_reads(int fd, std::chrono::seconds longest) noexcept {
    timeval patience{};
    patience.tv_sec = longest.count();
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

accepted why_none(int failure) {
    switch (failure) {
    case EAGAIN:
    case EINTR:
    case ECONNABORTED:
        return accepted::nobody;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return accepted::out_of_resources;
    default:
        throw std::system_error{failure, std::generic_category(), "accept"};
    }
}

bool await_writable(int fd, deadline until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd watched{fd, POLLOUT, 0};
    return ::poll(&watched, 1, static_cast<int>(std::max(left, 0ms).count())) > 0;
}

std::string head_of(const http_response& response) {
    std::string head = "Status: " + status_line(response.status) + "\r\nContent-Type: application/json\r\n";
    head += "Content-Length: " + std::to_string(response.body.size()) + "\r\nCache-Control: no-store\r\n";
    for (const auto& [name, value] : response.headers)
        head.append(name).append(": ").append(value).append("\r\n");
    return head += "\r\n";
}

} // namespace

fastcgi_request::fastcgi_request(int listener) : listener_{listener} {
    constexpr int none = -1; // libfcgi never accepts, see accept()
    if (FCGX_Init() != 0 || FCGX_InitRequest(&request_, none, FCGI_FAIL_ACCEPT_ON_INTR) != 0)
        throw std::runtime_error{"libfcgi could not be initialised"};
}

fastcgi_request::~fastcgi_request() {
    FCGX_Free(&request_, 1);
}

// libfcgi would accept and read the head in one step, and wait for the head for as long as its sender likes.
// So the connection is accepted here, given a deadline, and handed over as one that was kept open from a
// request before: then libfcgi begins to read. Where it gives the connection up it would accept another one,
// and finds no listener. After its one request the connection is closed, also where the peer asked for more:
// an idle one would hold this worker.
accepted fastcgi_request::accept() {
    const int connected = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connected < 0) return why_none(errno);
    limit_reads(connected, head_patience);
    request_.ipcFd = connected;
    request_.keepConnection = 1;
    if (FCGX_Accept_r(&request_) != 0) return accepted::nobody;
    request_.keepConnection = 0;
    return accepted::request;
}

std::string fastcgi_request::parameter(const char* name) const {
    const char* const value = FCGX_GetParam(name, request_.envp);
    return value != nullptr ? value : "";
}

http_request fastcgi_request::head() const {
    http_request request;
    request.method = parameter("REQUEST_METHOD");
    request.path = parameter("DOCUMENT_URI");
    request.query = parameter("QUERY_STRING");
    request.authorization = parameter("HTTP_AUTHORIZATION");
    request.client_id = parameter("HTTP_X_CLIENT_ID");
    request.request_id = runtime::request_id(parameter("REQUEST_ID"));
    request.waited = since(parameter("REQUEST_START"));
    return request;
}

body_result fastcgi_request::read_body(deadline until) {
    const auto encoding = body_encoding_of(parameter("HTTP_CONTENT_ENCODING"));
    if (!encoding) return encoding.error();
    auto body = read_bytes(until);
    if (!body || *encoding == body_encoding::none) return body;
    return inflate(*body, max_body_bytes);
}

body_result fastcgi_request::read_bytes(deadline until) {
    const std::string announced = parameter("CONTENT_LENGTH");
    if (announced.empty()) return std::string{};
    if (announced.find_first_not_of(digits) != std::string::npos) return body_fault::malformed;
    std::size_t length = 0;
    const auto parsed = std::from_chars(announced.data(), announced.data() + announced.size(), length);
    if (parsed.ec != std::errc{} || length > max_body_bytes) return body_fault::too_large;

    limit_reads(request_.ipcFd, body_patience);
    std::string body(length, '\0');
    for (std::size_t have = 0; have < length;) {
        if (std::chrono::steady_clock::now() >= until) return body_fault::incomplete;
        const auto wanted = static_cast<int>(std::min(length - have, chunk_bytes));
        const int got = FCGX_GetStr(body.data() + have, wanted, request_.in);
        if (got != wanted) return body_fault::incomplete;
        have += static_cast<std::size_t>(got);
    }
    return body;
}

bool fastcgi_request::put(std::string_view bytes) {
    return FCGX_PutStr(bytes.data(), static_cast<int>(bytes.size()), request_.out) ==
           static_cast<int>(bytes.size());
}

// libfcgi's own writes block for as long as the peer likes. A unix socket that polls as writable takes a
// chunk without blocking, so the wait happens here, with a deadline.
bool fastcgi_request::put_in_chunks(std::string_view bytes, deadline until) {
    while (!bytes.empty()) {
        const auto chunk = bytes.substr(0, chunk_bytes);
        if (!await_writable(request_.ipcFd, until) || !put(chunk)) return false;
        bytes.remove_prefix(chunk.size());
    }
    return true;
}

// What fits into libfcgi's buffer leaves it at the end of the request, in one write; a connection to which
// nothing was written yet takes that without blocking.
bool fastcgi_request::write(const http_response& response, deadline until) {
    const std::string head = head_of(response);
    if (head.size() + response.body.size() <= chunk_bytes) return put(head) && put(response.body);
    return put(head) && put_in_chunks(response.body, until) && await_writable(request_.ipcFd, until);
}

// What libfcgi still holds must not go out, and must not wait.
void fastcgi_request::abandon() noexcept {
    ::shutdown(request_.ipcFd, SHUT_RDWR);
}

bool fastcgi_request::answer(const http_response& response, deadline until) {
    const bool sent = write(response, until);
    if (!sent) abandon();
    FCGX_Finish_r(&request_);
    return sent;
}

} // namespace mana::fcgi_worker
