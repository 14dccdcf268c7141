// What waits to be told to one WebSocket: the apps and tables of all pushes since its last message. However
// much is pushed, and by whomever, it stays small: what does not fit becomes any_table, "pull everything".
// Pure.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mana::hub {

class waiting_news {
  public:
    static constexpr std::size_t names_at_most = 1'000; ///< of tables, of all apps

    /// Where there are more, the tables of this app become any_table alone. Where that is not enough, so does
    /// all that waits: one message of the app any_table.
    void add(const std::string& app, const std::vector<std::string>& tables);
    [[nodiscard]] bool empty() const { return waiting_.empty(); }
    /// The first app and its tables, which wait no longer. Not of an empty one.
    std::pair<std::string, std::set<std::string>> take();
    void clear();

  private:
    std::map<std::string, std::set<std::string>> waiting_; ///< app, tables
    std::size_t names_ = 0;
};

} // namespace mana::hub
