// A row that another program inserted into sync_changes, read as a push of one change (SPEC §5). Pure.
#pragma once

#include "shared/sync/change.hpp"
#include "shared/sync/push_request.hpp"
#include "shared/sync/time.hpp"

#include <boost/system/result.hpp>

#include <optional>
#include <string>

namespace mana::store {

/// As the columns hold it; JSON as text.
struct waiting_row {
    std::string id;
    std::string table;
    std::string record_id;
    std::string op;
    std::string client;
    int schema_version = 1;
    std::optional<std::string> data;
    std::optional<std::string> field_meta;
    std::optional<std::string> actor;
    std::optional<std::string> origin;
    std::optional<std::string> space;
    bool too_large = false;             ///< then its JSON was not read
    std::optional<sync::position> kept; ///< its position, where it is from before the migrations
};

/// Why a row can't be used: a rejection's code (SPEC §6), or no_data.
struct unusable {
    std::string reason;
};

/// What the row claims: for each field of its data the time that field_meta holds, else that of the data, as
/// a push of the data would. Refused as that push would be.
boost::system::result<sync::change, unusable> change_in(const waiting_row& row,
                                                        const sync::request_limits& limits);

} // namespace mana::store
