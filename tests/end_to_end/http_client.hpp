// HTTP as a browser app speaks it: one connection, kept for the next request.
#pragma once

#include <boost/json/value.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace mana::end_to_end {

struct http_reply {
    long status = 0;
    std::multimap<std::string, std::string> headers; // names in lower case
    std::string body;

    // The value of a header that came exactly once; otherwise empty, so that doubled ones are found out.
    [[nodiscard]] std::string header(const std::string& lower_case_name) const;
    // Throws where the body is not JSON.
    [[nodiscard]] boost::json::value json() const;
    // The "error" of an error's body, which must have a "message" too; otherwise empty.
    [[nodiscard]] std::string error_code() const;
};

// Not all of a reply came within http_client::longest_wait, and the connection did not end either.
class no_reply_in_time : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Not thread-safe. Every request throws std::runtime_error where there is no reply, or not all of one.
class http_client {
  public:
    using header_lines = std::vector<std::string>; // "Name: value"
    static constexpr std::chrono::milliseconds longest_wait{30'000};

    // `unix_socket`: where the server listens, in place of the URL's host.
    explicit http_client(std::string base_url, std::string unix_socket = {});
    ~http_client();
    http_client(http_client&&) noexcept;
    http_client& operator=(http_client&&) noexcept;
    http_client(const http_client&) = delete;
    http_client& operator=(const http_client&) = delete;

    http_reply get(const std::string& path, const header_lines& headers = {});
    http_reply post(const std::string& path, std::string_view body, const header_lines& headers = {});
    // Any method, without a body.
    http_reply send(const std::string& method, const std::string& path, const header_lines& headers = {});

  private:
    struct handle;
    std::string base_url_;
    std::string unix_socket_;
    std::unique_ptr<handle> handle_;
};

} // namespace mana::end_to_end
