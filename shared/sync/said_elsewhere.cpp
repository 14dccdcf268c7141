#include "shared/sync/said_elsewhere.hpp"

#include <algorithm>

namespace mana::sync {

namespace {

bool has_inside(const name_set& names, std::string_view path) {
    return std::ranges::any_of(names, [&](const std::string& name) { return lies_inside(name, path); });
}

} // namespace

bool has_path(const name_set& names, std::string_view path) {
    if (names.contains(path)) return true;
    for (auto dot = path.rfind('.'); dot != std::string_view::npos; dot = path.rfind('.')) {
        path = path.substr(0, dot);
        if (names.contains(path)) return true;
    }
    return false;
}

bool said_elsewhere::has(std::string_view field) const {
    return all_ || has_path(fields_, field) || (pushed_ != nullptr && pushed_->says(field));
}

bool said_of_push::says(std::string_view field) const {
    const auto root = root_of(field);
    if (told.contains(root) || whole.contains(root) || won.contains(field) || parts.contains(field))
        return true;
    // What the push replaced, with an object around it.
    return has_path(won, field) && state->fields.find(field) == state->fields.end();
}

void said_of_push::tell_objects_whole() {
    for (const auto* names : {&won, &parts})
        for (const auto& name : *names)
            if (is_dotted(name)) whole.emplace(root_of(name));
}

bool said_of_push::wrote_inside(std::string_view field) const {
    return has_inside(won, field) || has_inside(parts, field);
}

} // namespace mana::sync
