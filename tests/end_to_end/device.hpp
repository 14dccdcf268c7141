// One browser tab of a user: pushes and pulls through nginx as an existing client does.
#pragma once

#include "tests/end_to_end/http_client.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace mana::end_to_end {

class device {
  public:
    // `token` may be used by several devices of its user. An empty client id sends no X-Client-Id.
    device(std::string token, std::string client_id, std::string app = "todo");

    // The replies as they come, whatever their status.
    http_reply push(const boost::json::array& changes, const std::string& since = {});
    http_reply push_text(std::string_view body);
    http_reply pull(const std::string& collection, const std::string& since = {},
                    const std::string& more = {});

    [[nodiscard]] http_client& http() { return http_; }
    [[nodiscard]] http_client::header_lines headers() const;
    [[nodiscard]] const std::string& app() const { return app_; }

  private:
    std::string token_;
    std::string client_id_;
    std::string app_;
    http_client http_;
};

// Changes, claimed at `at` ("2026-01-31T09:00:00.123Z").
boost::json::object insert_of(std::string_view id, boost::json::object data, const std::string& at);
boost::json::object update_of(std::string_view id, std::string_view field, boost::json::value value,
                              const std::string& at);

// Of an answer.
const boost::json::array& server_changes(const boost::json::value& answer);
std::string synced_until(const boost::json::value& answer);
bool has_more(const boost::json::value& answer);

// The table that all changes above are of.
inline constexpr std::string_view table = "tasks";

} // namespace mana::end_to_end
