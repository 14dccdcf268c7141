// Tokens that this process has verified already: the next request with one costs no signature.
#pragma once

#include "shared/gate/key_set.hpp"
#include "shared/gate/token.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace mana::gate {

// A hit says: these very bytes were signed by the very key that serves under their kid now. Every call asks
// keys.find() for that key, so keys are fetched anew as often as without the cache, and a key that is
// withdrawn or replaced serves nowhere from then on. exp and nbf are looked at in every call too.
//
// One a thread: not thread-safe. Of what does not fit, the token goes that was not seen for the longest time.
class token_cache {
  public:
    struct limits {
        std::size_t tokens = 4'096;
        std::size_t bytes = 8'388'608; // about what they take up, with what is kept beside them
    };

    // `keys` stays the caller's and outlives this.
    explicit token_cache(key_set& keys) : token_cache{keys, limits{}} {}
    token_cache(key_set& keys, limits at_most) : keys_{keys}, at_most_{at_most} {}

    // What verify_token() says of it, and as blocking as that.
    [[nodiscard]] token_result verify(std::string_view token, std::chrono::sys_seconds now,
                                      key_set::clock::time_point steady_now);

    // How many tokens it holds, what they take up, and how often one of them was met.
    [[nodiscard]] std::size_t size() const noexcept { return by_text_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
    [[nodiscard]] std::uint64_t hits() const noexcept { return hits_; }

  private:
    struct entry {
        std::string text;
        verified_token token;
    };
    using entries = std::list<entry>;

    [[nodiscard]] token_result verify_afresh(std::string_view token, std::chrono::sys_seconds now,
                                             key_set::clock::time_point steady_now);
    void keep(std::string_view text, verified_token token);
    void drop(entries::iterator which);
    void drop_all();
    [[nodiscard]] static std::size_t bytes_of(const entry& kept) noexcept;

    key_set& keys_;
    const limits at_most_;
    entries entries_;                                                 // the last one that was met is first
    std::unordered_map<std::string_view, entries::iterator> by_text_; // views into the entries
    std::size_t bytes_ = 0;
    std::uint64_t hits_ = 0;
};

} // namespace mana::gate
