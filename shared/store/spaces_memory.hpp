// What a process last found that users are shown of spaces, so that a request need not look it up again. A
// page checks the version of it in the database under the locks that it takes anyway, so that what is
// remembered may be out of date: then it is forgotten, and looked up.
//
// Owned and used by one thread.
#pragma once

#include "shared/store/scopes.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace mana::store {

class spaces_memory {
  public:
    /// Nothing where it is not remembered, or was found for other memberships than the reader's.
    [[nodiscard]] std::optional<shown_spaces> find(const std::string& app, const reader& who) const;
    /// Only what is finished: what is still being copied is to be gone on with.
    void keep(const std::string& app, const reader& who, const shown_spaces& shown);
    void forget(const std::string& app, const reader& who);

  private:
    struct remembered {
        std::vector<std::string> memberships; ///< as the reader had them when it was looked up
        shown_spaces shown;
    };
    std::unordered_map<std::string, remembered> by_reader_;
    std::size_t names_ = 0; ///< of users and spaces, in all

    void forget(const std::string& key);
};

} // namespace mana::store
