// A model of the existing browser client: a local store with a time for each field, a queue of changes that
// are not yet pushed, and a cursor for each table. It keeps the client's habits, the bad ones too, since the
// server has to live with them (SPEC §3 rule 7).
#pragma once

#include "shared/sync/json.hpp"
#include "shared/sync/time.hpp"
#include "tests/history/server.hpp"

#include <chrono>
#include <deque>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mana::history {

/// JSON written as text in a test.
sync::json_value json(std::string_view text);

/// A record without its id, and without top-level nulls: a client that takes a value away holds no key.
sync::json_value plain(const sync::json_value& record);

/// What a record has at a path; null where there is nothing.
sync::json_value at_path(const sync::json_value& record, std::string_view path);

/// As Dexie sets a path: what is false on the way becomes an object, any other value stays.
void set_path(sync::json_value& record, std::string_view path, const sync::json_value& value);

/// What the client tells its user: a server change took a field that this device wrote last.
struct toast {
    std::string table;
    std::string id;
    std::string field; ///< or dotted path
    sync::json_value was;
    sync::json_value now;
};

/// What a device does beyond an existing client's habits; a checker needs it (tests/checker).
struct extras {
    bool named_changes = false; ///< each change's `origin` is "<client>/<number>"
    bool drops_refused = false; ///< what the server refuses leaves the store and the queue, with its record
    std::map<std::string, std::string> spaces; ///< the `spaceId` of records, by id
};

class device {
  public:
    /// `tables`: what the app syncs; a push sends the oldest of their cursors and its answer sets them all.
    device(server& to, caller who, std::vector<std::string> tables = {"notes"});
    void equip(extras with) { extras_ = std::move(with); }

    /// Sets the device's own clock; it stands until it is set again.
    void at(sync::instant time) { clock_ = time; }
    [[nodiscard]] sync::instant clock() const { return clock_; }

    // Local writes. None compares times.
    void add(const std::string& id, std::string_view data);
    void edit(const std::string& id, std::string_view fields); ///< {field or dotted path: value}
    void soft_delete(const std::string& id, std::string_view more_fields = "{}");
    void undelete(const std::string& id);
    void hard_delete(const std::string& id);
    void purge(const std::string& id); ///< takes the record out of the local store alone
    void wipe();                       ///< all but the client id

    /// Sends at most 200 changes of the queue and applies the answer.
    sync::json_value push();
    /// The same in two steps, between which the user goes on writing: what is sent is fixed by the first.
    struct request {
        std::string body;
        std::size_t changes = 0;
    };
    [[nodiscard]] request begin_push() const;
    void finish_push(const request& sent, const sync::json_value& answer);
    /// The same, but the answer never arrives: nothing is applied, and the queue is sent again.
    void push_and_lose_the_answer();
    /// All pages of all tables.
    void pull();
    /// One page of a table.
    sync::json_value pull_page(const std::string& table);
    /// The page is closed after the first page of a pull: it is applied, but its cursor is not kept.
    void pull_and_close();
    /// Pushes until the queue is empty, then pulls.
    void sync();
    /// Applies what came another way: the `changes` of an event stream.
    void receive(const sync::json_array& changes);

    [[nodiscard]] bool holds(const std::string& id) const { return records_.contains({tables_.front(), id}); }
    /// Null where there is none. Without `id` and nulls, as `plain` gives it.
    [[nodiscard]] sync::json_value record(const std::string& id) const;
    [[nodiscard]] std::size_t queued() const { return queue_.size(); }
    [[nodiscard]] const std::string& cursor(const std::string& table) const { return cursors_.at(table); }
    [[nodiscard]] const caller& who() const { return who_; }
    /// The time that the device holds for a field, as text; empty: none.
    [[nodiscard]] std::string time_of(const std::string& id, const std::string& field) const;
    /// The queue's next push, as it would be sent.
    [[nodiscard]] std::string next_body() const;
    /// A page of a pull, or of a stream, as it came.
    void finish_pull(const std::string& table, const sync::json_value& answer);
    /// What the user was told since the last call.
    std::vector<toast> take_toasts() { return std::exchange(toasts_, {}); }
    /// Whether the user of this device wrote the path last, as its client has it.
    [[nodiscard]] bool is_users(const std::string& id, const std::string& field) const;

  private:
    /// Of `__fieldMeta`: of one path, of that very path only.
    struct local_field {
        std::string at;
        bool by_user = false; ///< its `origin`: written here, and not by a server change since
    };
    struct local_record {
        sync::json_value value = sync::json_object{};
        std::map<std::string, local_field> fields;
    };
    using local_key = std::pair<std::string, std::string>; ///< table, id

    [[nodiscard]] std::string now() const { return sync::to_text(clock_); }
    local_record& local(const std::string& id) { return records_.at({tables_.front(), id}); }
    void write(const std::string& id, const sync::json_object& fields);
    sync::json_object change_of(const std::string& id, std::string op) const;
    void enqueue(sync::json_object change);
    void drop_refused(const sync::json_value& answer);
    sync::json_value fields_of(const sync::json_object& fields) const;

    void apply(const sync::json_value& answer);
    void apply_change(const sync::json_object& change);
    void apply_insert(const local_key& key, const sync::json_object& data);
    void apply_update(const local_key& key, const sync::json_object& fields);
    void set(const local_key& key, bool created, const std::string& field, const sync::json_value& value,
             const std::string& time);

    server& server_;
    caller who_;
    std::vector<std::string> tables_; ///< local writes go to the first
    sync::instant clock_;
    std::map<local_key, local_record> records_;
    std::deque<sync::json_value> queue_;
    std::map<std::string, std::string> cursors_;
    extras extras_;
    int changes_made_ = 0;
    std::vector<toast> toasts_;
};

} // namespace mana::history
