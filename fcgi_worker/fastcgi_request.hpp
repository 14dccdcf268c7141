// FastCGI on one side, http_request and http_response on the other: the only file that knows libfcgi.
//
// One process, one thread, one request at a time. Signals must be held back from the thread while a request
// is here: libfcgi takes an interrupted read() for an error, and a write() that a signal cut short for a
// whole one.
#pragma once

#include "fcgi_worker/http_message.hpp"
#include "fcgi_worker/request_body.hpp"

#include <chrono>
#include <fcgiapp.h>
#include <memory>
#include <string>
#include <string_view>

namespace mana::fcgi_worker {

using deadline = std::chrono::steady_clock::time_point;

// nobody: another worker was faster, or who came sent no whole request head in time.
enum class accepted { request, nobody, out_of_resources };

class fastcgi_request {
  public:
    // `listener` is nonblocking, stays the caller's, and outlives this. Throws std::runtime_error.
    explicit fastcgi_request(int listener);
    fastcgi_request(const fastcgi_request&) = delete;
    fastcgi_request& operator=(const fastcgi_request&) = delete;
    fastcgi_request(fastcgi_request&&) = delete;
    fastcgi_request& operator=(fastcgi_request&&) = delete;
    ~fastcgi_request();

    // Takes the next request from the listener. Throws std::system_error where the listener is of no more
    // use.
    [[nodiscard]] accepted accept();

    // The accepted request without its body.
    [[nodiscard]] http_request head() const;

    // Exactly CONTENT_LENGTH bytes, none where it is missing; what they were before gzip where
    // HTTP_CONTENT_ENCODING says so. Neither may have more than max_body_bytes. Once a request.
    [[nodiscard]] body_result read_body(deadline until);

    // Sends the response, ends the request and closes its connection; what was not read of the body is thrown
    // away. False where the peer had gone or did not take it in time.
    bool answer(const http_response& response, deadline until);

  private:
    [[nodiscard]] std::string parameter(const char* name) const;
    [[nodiscard]] body_result read_bytes(deadline until);
    [[nodiscard]] bool put(std::string_view bytes);
    [[nodiscard]] bool put_in_chunks(std::string_view bytes, deadline until);
    [[nodiscard]] bool write(const http_response& response, deadline until);
    void abandon() noexcept;

    const int listener_;
    FCGX_Request request_{};
};

} // namespace mana::fcgi_worker
