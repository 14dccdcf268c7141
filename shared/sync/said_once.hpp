// An answer says each field once (SPEC §3 rules 6 and 7). Pure.
//
// A client obeys the changes of an answer in their order, and tells its user of each that takes a field which
// the user wrote last. So what a later row of a page has, an earlier one does not say: the user would be told
// of a value that does not stay. The same holds for the answer to a push: what its author is told of a record
// comes first, and the page says of the same fields no more.
//
//     page   {"id":"n","fields":{"title":"draft","color":"red"}}   here only color is left
//            {"id":"n","fields":{"title":"final"}}
#pragma once

#include "shared/sync/merge.hpp"
#include "shared/sync/said_elsewhere.hpp"
#include "shared/sync/wire.hpp"

#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::sync {

/// A row of a page, as far as it matters to others; the views are the caller's.
struct page_row {
    std::string_view table;
    std::string_view record_id;
    std::string_view op;
    std::string_view data; ///< JSON: an object of the row's fields
    /// The reader's own, and brought only since its record ever had a dotted path (rule 8): what is no
    /// object, nor part of one, its author holds.
    bool only_objects = false;
    /// Fields that the reader wrote last of all, and so holds. Looked up where a client sends its own clock
    /// in place of a cursor, and so is sent again what it was sent before.
    name_set readers{};
    bool was_shown = false; ///< to the reader before, see held_rows.hpp: it is not said again
};

/// One page, and what the answer says beside it. Not thread-safe.
class said_once {
  public:
    /// Of a pull: the page alone.
    said_once() = default;
    /// Of a push: `records` are the states that merge_push left. All must outlive this.
    said_once(const std::vector<change>& changes, const writer& author, instant receipt,
              const record_map& records, const std::vector<wire_change>& repairs);

    /// For each of the page's rows, in their order. One whose `data` is no object is said as it is.
    std::vector<said_elsewhere> sift(std::span<const page_row> rows);

    /// What the author is told, in place of the given repairs, once the page was sifted: where it deletes a
    /// record that the push wrote, all that lives of it; where it has a part of an object of which the push
    /// wrote another, all of the object.
    [[nodiscard]] std::vector<wire_change> repairs(std::vector<wire_change> given) const;

    [[nodiscard]] bool of_push() const { return of_push_; }

  private:
    using record_name = std::pair<std::string_view, std::string_view>; ///< table, id
    struct pushed_record : said_of_push {
        const change_heading* heading = nullptr;
        bool reset = false;
        bool reset_anew = false; ///< which no repair says yet
    };
    struct rows_of_record {
        int count = 0;
        bool removed = false;
        name_set later; ///< fields of the rows behind
    };
    std::map<record_name, pushed_record> pushed_;
    told_reader author_{};
    bool of_push_ = false;

    void note(const change& given, const writer& author, const record_map& records);
    static void note_win(pushed_record& record, const field_write& write);
    pushed_record* find(const page_row& row);
    static said_elsewhere sift_readable(const page_row& row, rows_of_record& behind, pushed_record* pushed);
    static said_elsewhere sift_row(const page_row& row, rows_of_record& behind, pushed_record* pushed);
};

} // namespace mana::sync
