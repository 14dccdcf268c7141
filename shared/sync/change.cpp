#include "shared/sync/change.hpp"

#include <algorithm>

namespace mana::sync {

std::string_view to_text(operation op) {
    switch (op) {
    case operation::insert:
        return "insert";
    case operation::update:
        return "update";
    case operation::remove:
        break;
    }
    return "delete";
}

std::optional<operation> parse_operation(std::string_view text) {
    for (const auto op : {operation::insert, operation::update, operation::remove})
        if (text == to_text(op)) return op;
    return std::nullopt;
}

bool is_field(std::string_view name) {
    return name != "id" && name != "__fieldMeta" && name != "_updatedAtIndex";
}

bool is_dotted(std::string_view field) {
    return field.find('.') != std::string_view::npos;
}

std::string_view root_of(std::string_view field) {
    return field.substr(0, field.find('.'));
}

bool lies_inside(std::string_view inner, std::string_view outer) {
    return inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '.';
}

std::size_t path_depth(std::string_view field) {
    return static_cast<std::size_t>(std::count(field.begin(), field.end(), '.'));
}

} // namespace mana::sync
