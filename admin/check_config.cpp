// check-config: the settings as the services would read them.
#include "admin/output.hpp"
#include "admin/secrets.hpp"
#include "admin/subcommands.hpp"
#include "shared/runtime/connection_string.hpp"

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <iostream>
#include <sys/stat.h>
#include <vector>

namespace mana::admin {
namespace {

std::string_view words_for(origin from) {
    switch (from) {
    case origin::file:
        return "from the file";
    case origin::environment:
        return "from the environment";
    case origin::by_default:
        break;
    }
    return "default";
}

void print(const settings_source& source) {
    for (const auto& [variable, fallback] : runtime::variable_defaults()) {
        const std::string name{variable};
        const origin from = source.origin_of(name.c_str());
        const std::string value =
            from == origin::by_default ? std::string{fallback} : std::string{source.find(name.c_str())};
        const std::string note{words_for(from)};
        std::cout << name << '=' << masked(name, value) << shaded("  (" + note + ")", shade::faint) << '\n';
    }
}

bool is_local(std::string_view host) {
    return host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]";
}

struct address {
    std::string scheme;
    std::string host;
};

address address_of(const std::string& url) {
    const auto parsed = boost::urls::parse_uri(url);
    if (!parsed) return {};
    return {std::string{parsed->scheme().data(), parsed->scheme().size()}, parsed->host()};
}

std::vector<std::string> doubts_of_values(const runtime::configuration& settings) {
    std::vector<std::string> doubts;
    const auto database = runtime::parse_connection_string(settings.database_url);
    if (database && runtime::value_of(*database, "password") == "devpassword")
        doubts.emplace_back("DATABASE_URL has the password of development machines, which everyone knows");
    if (settings.mana_service_key == "dev-service-key")
        doubts.emplace_back("MANA_SERVICE_KEY is the one of development machines, which everyone knows");
    const bool local_origin =
        std::any_of(settings.cors_origins.begin(), settings.cors_origins.end(),
                    [](const std::string& allowed) { return is_local(address_of(allowed).host); });
    if (local_origin)
        doubts.emplace_back(
            "CORS_ORIGINS lets pages of localhost call: any program on a user's machine that serves "
            "one can act for that user");
    const auto keys = address_of(settings.jwks_url);
    if (keys.scheme == "http" && !is_local(keys.host))
        doubts.emplace_back(
            "JWKS_URL is plain http to another host: whoever is on the way can let anyone in");
    return doubts;
}

// Typing errors would else show as nothing but a default.
std::vector<std::string> doubts_of_files(const settings_source& source) {
    std::vector<std::string> doubts;
    const auto known = runtime::variable_defaults();
    for (const auto& [name, value] : source.from_files()) {
        if (name == "MIGRATE_DATABASE_URL")
            doubts.emplace_back(
                "MIGRATE_DATABASE_URL stands in the file that the services read, whose role should "
                "own nothing; put it into " +
                std::string{default_migrate_env_file});
        else if (std::ranges::find(known, name, &runtime::variable_default::name) == known.end())
            doubts.emplace_back(name + " in the file is no variable of mana-sync");
    }
    for (const auto& file : source.files()) {
        struct stat found {};
        if (::stat(file.c_str(), &found) == 0 && (found.st_mode & S_IROTH) != 0)
            doubts.emplace_back(file + " can be read by everyone on this host, and holds secrets: chmod o-r");
    }
    return doubts;
}

} // namespace

int run_check_config(const settings_source& source) {
    const auto settings = source.load();
    for (const auto& file : source.files()) std::cout << "# " << file << '\n';
    print(source);
    auto doubts = doubts_of_values(settings);
    for (auto& doubt : doubts_of_files(source)) doubts.push_back(std::move(doubt));
    for (const auto& doubt : doubts) std::cout << shaded("warning", shade::doubtful) << ": " << doubt << '\n';
    return 0;
}

} // namespace mana::admin
