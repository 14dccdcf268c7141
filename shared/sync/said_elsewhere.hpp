// What of a page's row its answer says elsewhere, so that the row does not (said_once.hpp finds it). Pure.
#pragma once

#include "shared/sync/record.hpp"

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace mana::sync {

using name_set = std::set<std::string, std::less<>>;
/// Whether a path, or one around it, is among the names.
bool has_path(const name_set& names, std::string_view path);

/// What the answer to a push says of a record beside its page.
struct said_of_push {
    const record_state* state = nullptr; ///< null: of a record that the push only met
    name_set told;                       ///< root fields of which the repairs say what is held there
    name_set whole;                      ///< further ones of which the author is to be told that
    name_set won;   ///< fields that the push wrote, as they stay, and so its author holds them
    name_set parts; ///< further ones of which the author is to be told

    /// Whether a row of the page has nothing to add there.
    [[nodiscard]] bool says(std::string_view field) const;
    /// Whether a row of the page would take what the push wrote inside it.
    [[nodiscard]] bool wrote_inside(std::string_view field) const;
    /// Of each object that the push wrote a part of, the author is to be told all.
    void tell_objects_whole();
};

/// What of a row other parts of its answer say.
class said_elsewhere {
  public:
    /// Nothing: the row is said as it is.
    said_elsewhere() = default;
    /// `pushed` must outlive it.
    said_elsewhere(name_set fields, const said_of_push* pushed, bool all)
        : fields_(std::move(fields)), pushed_(pushed), all_(all) {}

    /// The row says nothing that the answer does not say otherwise.
    [[nodiscard]] bool all() const { return all_; }
    [[nodiscard]] bool any() const { return all_ || pushed_ != nullptr || !fields_.empty(); }
    [[nodiscard]] bool has(std::string_view field) const;

  private:
    name_set fields_;
    const said_of_push* pushed_ = nullptr;
    bool all_ = false;
};

} // namespace mana::sync
