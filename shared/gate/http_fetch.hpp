// GET of a small document from a service of ours: keys, billing, memberships (SPEC §6).
#pragma once

#include <boost/system/result.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mana::gate {

inline constexpr std::size_t max_reply_bytes = 1'048'576;
inline constexpr std::chrono::milliseconds connect_timeout{1000};

// Any status is a reply: what 404 or 500 means is for the caller to say.
struct http_reply {
    long status = 0;
    std::string body;
};

// Why a document could not be had: one line for the log, without the URL's query or any header.
struct fetch_error {
    std::string reason;
    bool too_large = false; // there was an answer, of more than max_reply_bytes
};

using fetch_result = boost::system::result<http_reply, fetch_error>;

// One libcurl handle; it keeps its connection for the next GET. Not thread-safe: one a thread. Make it after
// fork(), so that no two processes write to one connection.
class http_client {
  public:
    // Throws std::runtime_error where libcurl gives no handle.
    http_client();
    http_client(const http_client&) = delete;
    http_client& operator=(const http_client&) = delete;
    http_client(http_client&&) = delete;
    http_client& operator=(http_client&&) = delete;
    ~http_client();

    // Blocks for at most `total` (1 s of it for connecting). http and https only; redirects are not followed,
    // so headers with keys go nowhere else. A body above max_reply_bytes is an error. Headers as "Name:
    // value".
    [[nodiscard]] fetch_result get(const std::string& url, std::chrono::milliseconds total,
                                   const std::vector<std::string>& headers = {});

  private:
    struct handle;
    std::unique_ptr<handle> handle_;
};

// `text` percent-encoded as one segment of a path. "." and ".." have their dots encoded too, so that a user
// id cannot name another path.
[[nodiscard]] std::string path_segment(std::string_view text);

} // namespace mana::gate
