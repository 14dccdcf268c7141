// Rows of the log as changes of the wire, text to text (SPEC §2, §3 rule 7). Pure.
//
// A page is mostly rows that are shown just as they were stored. Of these no value is taken apart: it goes
// into the answer as the text that PostgreSQL gave. Rows that need more go through changes_of().
#pragma once

#include "shared/sync/record.hpp"
#include "shared/sync/wire.hpp"

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace mana::sync {

/// One row of the log, column by column as PostgreSQL prints it; an empty text is a null. The views are the
/// caller's.
struct stored_row {
    std::string_view event_id;
    std::string_view table;
    std::string_view record_id;
    std::string_view op;
    std::string_view data;       ///< jsonb as text
    std::string_view field_meta; ///< jsonb as text, {field: time}
    std::string_view schema_version;
    std::string_view actor; ///< jsonb as text
    std::string_view origin;
    std::string_view space;
    position at;
    std::optional<insert_hold> held{}; ///< the row is held for its reader, see held_rows.hpp
    bool settled = false;
};

/// Writes rows as changes, one after the other, into one list. Not thread-safe; keeps its buffers.
class row_writer {
  public:
    /// `out` must outlive the writer.
    explicit row_writer(std::vector<shown_change>& out);
    ~row_writer();
    row_writer(const row_writer&) = delete;
    row_writer& operator=(const row_writer&) = delete;

    /// `record`: the record's current state where rule 7 needs it, as for changes_of(), or the row is held.
    /// Throws std::invalid_argument where the row's JSON cannot be read.
    void write(const stored_row& row, const record_state* record, const said_elsewhere& but);

  private:
    struct reader;
    std::vector<shown_change>& out_;
    std::unique_ptr<reader> reader_;
};

} // namespace mana::sync
