// A client as the load program plays it: whose it is, up to where it knows the log, and what it pushes.
#pragma once

#include "shared/sync/time.hpp"
#include "tests/end_to_end/http_client.hpp"

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace mana::bench {

inline constexpr std::string_view start_of_time = "1970-01-01T00:00:00.000Z";
inline constexpr std::string_view end_of_time =
    "2100-01-01T00:00:00.000000Z"; ///< counts as the newest position

/// Whom requests are made for.
struct user {
    std::string name;
    std::string token;
    std::string record; ///< pushes update this one; empty: they insert new ones
    std::string space;  ///< that the record lives in; empty: the user's own
};

/// One client of one user, who must outlive it. Not thread-safe.
class device {
  public:
    /// `place`: that of the user in whatever list the caller keeps.
    device(const user& of, std::size_t place, std::string client);

    /// Another client of the same user, who knows as much of the log.
    [[nodiscard]] device another(std::string client) const;

    [[nodiscard]] std::size_t place() const { return place_; }
    [[nodiscard]] const end_to_end::http_client::header_lines& headers() const { return headers_; }
    [[nodiscard]] const std::string& cursor() const { return cursors_.front(); }

    /// The device goes on from there.
    void set_cursor(std::string cursor);
    /// It goes on from the answer that came `lag` answers ago; 0: from this one.
    void add_cursor(std::string cursor, std::size_t lag);

    /// Bodies of pushes.
    [[nodiscard]] std::string new_records(int count);
    /// Of the user's record, where there is one, else of a new one.
    [[nodiscard]] std::string one_change();
    /// All fields of the records that new_records last made.
    [[nodiscard]] std::string update_last_records();

  private:
    const user* of_;
    std::size_t place_;
    std::string client_;
    end_to_end::http_client::header_lines headers_;
    std::deque<std::string> cursors_{std::string{start_of_time}};
    std::vector<std::string> last_records_;
    sync::instant last_claim_{};
    int changes_ = 0;

    std::string claim();
};

} // namespace mana::bench
