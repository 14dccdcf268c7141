// What a record holds at a path: a field's own value, a part of a value that is held around the path, and
// what is held inside it (SPEC §3 rule 4). Pure.
#pragma once

#include "shared/sync/record.hpp"

#include <cstddef>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace mana::sync {

/// Looks at paths of any records. A value that is held around many paths is read once. Not thread-safe.
class value_reader {
  public:
    /// Values that are taken apart or put together have `most_bytes` of text in all. A few paths into a large
    /// value would else take as long as that many large values.
    explicit value_reader(std::size_t most_bytes);

    /// What is held at a path; null where nothing is held. A field's own value counts even where what lies
    /// around it is no object, and no client can show it. Names that are deeper than most_levels are left
    /// out: versions that took any name have stored them. Nothing where it would take more bytes than are
    /// left; a field's own value, with nothing held inside it, takes none.
    [[nodiscard]] std::optional<value_text> at(const record_state& state, std::string_view field);
    /// To be called before a field gets another value, or goes.
    void forget(const held_field& held);

  private:
    std::size_t bytes_left_;
    std::unordered_map<const held_field*, json_value> read_;

    std::optional<value_text> around(const held_field& own, const record_state& state,
                                     std::string_view field);
    std::optional<value_text> with_inside(json_value outer, const record_state& state,
                                          std::string_view field);
    const json_value* read(const held_field& held);
    std::optional<value_text> written(const json_value& value);
    bool take(std::size_t bytes);
};

/// The same for a single look, however large.
json_value value_at(const record_state& state, std::string_view field);

} // namespace mana::sync
