// A FastCGI client as small as can be: what nginx does for one request, under a test's control.
#pragma once

#include "shared/runtime/unique_fd.hpp"

#include <chrono>
#include <map>
#include <string>
#include <string_view>

namespace mana::end_to_end {

struct fastcgi_reply {
    int status = 0; // 0: the connection ended without an answer
    std::map<std::string, std::string> headers;
    std::string body;
};

// One request over a connection of its own. Throws std::system_error where it cannot connect or send.
class fastcgi_request {
  public:
    explicit fastcgi_request(const std::string& socket_path);

    // Whether the connection is to stay open for more requests, as FastCGI has it.
    enum class wish { close, keep };

    // REQUEST_METHOD, DOCUMENT_URI, CONTENT_LENGTH, HTTP_AUTHORIZATION …
    void send_head(const std::map<std::string, std::string>& parameters, wish afterwards = wish::close);
    void send_body(std::string_view part); // at most 65,535 bytes
    void end_body();
    // Bytes as they are, which need be no record.
    void send_bytes(std::string_view bytes);

    // Whether a worker has read all that was sent.
    [[nodiscard]] bool taken() const;

    // Waits for the end of the answer, and closes. Throws std::runtime_error after `longest`.
    fastcgi_reply receive(std::chrono::milliseconds longest = std::chrono::seconds{15});

    // In place of receive(): waits until the worker closes, whatever it says before. Throws as receive().
    void await_close(std::chrono::milliseconds longest);

  private:
    void send_record(unsigned char type, std::string_view content);

    runtime::unique_fd fd_;
};

// A whole request.
fastcgi_reply ask(const std::string& socket_path, const std::string& method, const std::string& path,
                  const std::string& token, std::string_view body,
                  std::map<std::string, std::string> more = {});

} // namespace mana::end_to_end
