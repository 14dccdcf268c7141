#include "ws_hub/stream_events.hpp"

#include <algorithm>
#include <span>

namespace mana::hub {
namespace {

using changes = std::span<const sync::shown_change>;

/// As many of the first changes as are of one table.
changes first_run(changes all) {
    const auto end = std::ranges::find_if(
        all, [&](const sync::shown_change& change) { return change.table != all.front().table; });
    return all.first(static_cast<std::size_t>(end - all.begin()));
}

bool has_table(changes all, std::string_view table) {
    return std::ranges::any_of(all, [&](const sync::shown_change& change) { return change.table == table; });
}

void append_event(std::string& out, std::string_view name, const std::string& id, std::string_view data) {
    out.append("event: ").append(name);
    if (!id.empty()) out.append("\nid: ").append(id);
    out.append("\ndata: ").append(data).append("\n\n");
}

} // namespace

std::string to_events(const sync::answer& page) {
    std::string out;
    for (changes rest = page.server_changes; !rest.empty();) {
        const changes run = first_run(rest);
        rest = rest.subspan(run.size());
        const std::string& table = run.front().table;
        // Everything before the next run's first change has been sent.
        auto until = page.synced_until;
        if (!rest.empty()) until.at = run.back().at;
        const bool more = page.has_more || has_table(rest, table);
        append_event(out, "changes", sync::to_text(until), sync::to_json(table, run, until, more));
    }
    return out;
}

std::string heartbeat_event(const sync::cursor* moved_to) {
    std::string out;
    append_event(out, "heartbeat", moved_to != nullptr ? sync::to_text(*moved_to) : "", "{}");
    return out;
}

std::string comment(std::string_view text) {
    return std::string(": ").append(text).append("\n\n");
}

} // namespace mana::hub
