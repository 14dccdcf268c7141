// The query string of a URL, decoded. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::http {

class query_parameters {
  public:
    // Of a repeated parameter the first counts. The view lives as long as this object.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;

  private:
    friend std::optional<query_parameters> parse_query(std::string_view encoded);
    std::vector<std::pair<std::string, std::string>> decoded_;
};

// Nothing where a percent sign starts no escape. A plus is a space, as in forms; a parameter without '=' is
// empty; letters that a URL should not hold are taken as they are, since browsers send some of them. Decoded
// values may hold any bytes.
[[nodiscard]] std::optional<query_parameters> parse_query(std::string_view encoded);

} // namespace mana::http
