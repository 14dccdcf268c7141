// mana-sync-nginx-conf: writes the origins that may call, CORS_ORIGINS of the settings, as lines of the nginx
// map of conf.d/mana-sync.conf. nginx cannot read the settings itself.

#include "admin/env_file.hpp"
#include "admin/settings.hpp"
#include "shared/runtime/configuration.hpp"
#include "shared/runtime/unique_fd.hpp"

#include <CLI/CLI.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace {

using namespace mana::admin;
namespace runtime = mana::runtime;

constexpr const char* program = "mana-sync-nginx-conf";
constexpr const char* standard_output = "-";

struct wish {
    std::string settings = default_env_file;
    std::string map = "/var/lib/mana-sync/nginx-cors.map";
};

// As worker and hub read it. The other settings are no business of nginx, good or bad.
std::vector<std::string> origins_of(const settings_source& source) {
    const auto only_origins = [&source](const char* name) -> const char* {
        return std::string_view{name} == "CORS_ORIGINS" ? source.find_in_files(name) : nullptr;
    };
    return runtime::load_configuration(only_origins).cors_origins;
}

// A pattern that matches the origin alone: patterns may be longer than nginx's tables of words allow, and
// heed upper and lower case. An origin holds no other letters that mean something to nginx or in a pattern.
std::string line_of(const std::string& origin) {
    std::string line = "\"~^";
    for (const char letter : origin) {
        if (std::string_view{".+[]"}.find(letter) != std::string_view::npos) line += '\\';
        line += letter;
    }
    return line + "$\" $http_origin;\n";
}

std::string text_of(const wish& wanted) {
    std::string text = "# Made by " + std::string{program} + " of CORS_ORIGINS in " + wanted.settings + ".\n";
    for (const auto& origin : origins_of(settings_source{{wanted.settings}})) text += line_of(origin);
    return text;
}

bool holds(const std::string& file, const std::string& text) {
    std::ifstream from{file};
    std::ostringstream found;
    return from && found << from.rdbuf() && found.str() == text;
}

[[noreturn]] void fail(const std::string& file) {
    throw std::runtime_error{"cannot write " + file + ": " + std::generic_category().message(errno)};
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(fd, text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

// Under another name first, which nobody can know: nginx never meets half a file.
void put(const std::string& file, const std::string& text) {
    constexpr mode_t for_all_to_read = 0644;
    if (holds(file, text)) return;
    std::filesystem::create_directories(std::filesystem::absolute(file).parent_path());
    std::string fresh = file + ".XXXXXX";
    const runtime::unique_fd made{::mkostemp(fresh.data(), O_CLOEXEC)};
    if (!made) fail(file);
    const bool done = write_all(made.get(), text) && ::fchmod(made.get(), for_all_to_read) == 0 &&
                      ::rename(fresh.c_str(), file.c_str()) == 0;
    if (!done) {
        const int why = errno;
        ::unlink(fresh.c_str());
        errno = why;
        fail(file);
    }
    std::cout << program << ": wrote " << file << "; it counts from the next reload of nginx\n";
}

void run(const wish& wanted) {
    const auto text = text_of(wanted);
    if (wanted.map == standard_output)
        std::cout << text;
    else
        put(wanted.map, text);
}

int answer(int argc, char** argv) {
    wish wanted;
    CLI::App app{
        "Writes the origins that may call, CORS_ORIGINS of the settings, for nginx. Run it when CORS_ORIGINS "
        "has changed, then reload nginx.",
        program};
    app.add_option("-e", wanted.settings, "The settings")->capture_default_str();
    app.add_option("-o", wanted.map, "The file that nginx includes, or - to print it")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& asked) {
        return app.exit(asked) == 0 ? 0 : 2;
    }
    run(wanted);
    return std::cout.flush() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    try {
        return answer(argc, argv);
    } catch (const std::exception& failed) {
        std::cerr << program << ": " << failed.what() << '\n';
        return 1;
    }
}
