#include "shared/gate/token_cache.hpp"

#include <utility>

namespace mana::gate {
namespace {

constexpr std::size_t beside_a_token = 320; // the nodes of list and table, and the key's share

} // namespace

token_result token_cache::verify(std::string_view token, std::chrono::sys_seconds now,
                                 key_set::clock::time_point steady_now) {
    const auto found = by_text_.find(token);
    if (found == by_text_.end()) return verify_afresh(token, now, steady_now);
    const auto kept = found->second;
    const auto key = keys_.find(kept->token.kid, steady_now);
    // The keys were replaced since, all of them: nothing that was verified with the old ones counts.
    if (!key || *key != kept->token.key) {
        drop_all();
        return verify_afresh(token, now, steady_now);
    }
    if (const auto fault = fault_of_times(kept->token, now)) {
        drop(kept);
        return *fault;
    }
    entries_.splice(entries_.begin(), entries_, kept);
    ++hits_;
    return kept->token.who;
}

token_result token_cache::verify_afresh(std::string_view token, std::chrono::sys_seconds now,
                                        key_set::clock::time_point steady_now) {
    auto found = verify_whole(token, keys_, now, steady_now);
    if (!found) return found.error();
    identity who = found->who;
    keep(token, std::move(*found));
    return who;
}

void token_cache::keep(std::string_view text, verified_token token) {
    entries_.push_front({std::string{text}, std::move(token)});
    bytes_ += bytes_of(entries_.front());
    by_text_.emplace(entries_.front().text, entries_.begin());
    while (size() > at_most_.tokens || bytes_ > at_most_.bytes) drop(std::prev(entries_.end()));
}

void token_cache::drop(entries::iterator which) {
    bytes_ -= bytes_of(*which);
    by_text_.erase(which->text);
    entries_.erase(which);
}

void token_cache::drop_all() {
    by_text_.clear(); // first: it looks into the entries
    entries_.clear();
    bytes_ = 0;
}

std::size_t token_cache::bytes_of(const entry& kept) noexcept {
    return kept.text.size() + kept.token.kid.size() + kept.token.who.user.size() + beside_a_token;
}

} // namespace mana::gate
