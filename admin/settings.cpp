#include "admin/settings.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <unistd.h>

namespace mana::admin {
namespace {

std::string contents_of(const std::string& file) {
    errno = 0;
    std::ifstream from{file};
    std::ostringstream text;
    if (from) text << from.rdbuf();
    if (from && !from.bad() && errno == 0) return text.str();
    const std::string why = std::generic_category().message(errno == 0 ? EIO : errno);
    throw std::runtime_error{"cannot read " + file + ": " + why};
}

} // namespace

settings_source::settings_source(std::vector<std::string> files) : files_{std::move(files)} {
    for (const auto& file : files_)
        for (auto& assigned : parse_env_file(contents_of(file))) assigned_.push_back(std::move(assigned));
}

const char* settings_source::find_in_files(std::string_view name) const {
    for (auto at = assigned_.rbegin(); at != assigned_.rend(); ++at)
        if (at->first == name) return at->second.c_str();
    return nullptr;
}

const char* settings_source::find(const char* name) const {
    const char* const set = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    return set != nullptr ? set : find_in_files(name);
}

origin settings_source::origin_of(const char* name) const {
    const char* const found = find(name);
    if (found == nullptr || *found == '\0') return origin::by_default;
    return found == find_in_files(name) ? origin::file : origin::environment;
}

runtime::configuration settings_source::load() const {
    return runtime::load_configuration([this](const char* name) { return find(name); });
}

std::vector<std::string> env_files(const std::optional<std::string>& named,
                                   const std::vector<std::string>& otherwise) {
    if (named) return {*named};
    std::vector<std::string> there;
    for (const auto& file : otherwise)
        if (::access(file.c_str(), F_OK) == 0) there.push_back(file);
    return there;
}

} // namespace mana::admin
