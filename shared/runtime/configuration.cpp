#include "shared/runtime/configuration.hpp"

#include "shared/runtime/connection_string.hpp"
#include "shared/runtime/host_name.hpp"
#include "shared/runtime/origins.hpp"
#include "shared/runtime/redis_address.hpp"

#include <algorithm>
#include <array>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace mana::runtime {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

// Thrown by the readers below. `what` never contains the value; the caller adds that where it is no secret.
struct bad_value {
    std::string what;
    std::string allowed;
};

// A URL may hold a user, a password or a key, so its value is secret in messages.
enum class secrecy { open, secret };

struct variable {
    const char* name;
    std::string_view type;
    const char* fallback;
    std::string_view meaning;
    secrecy shown;
    void (*read)(configuration&, std::string_view text);
};

bool is_plain(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) { return is_control(c) || c == ' '; });
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    if (failure != std::errc{} || stop != end) return std::nullopt;
    return number;
}

unsigned read_number(std::string_view text, unsigned least, unsigned most) {
    const std::string allowed =
        "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    const auto number = whole_number(text);
    if (!number) throw bad_value{"is not a whole number", allowed};
    if (*number < least || *number > most) throw bad_value{"is out of range", allowed};
    return static_cast<unsigned>(*number);
}

std::optional<milliseconds> unit_of(std::string_view text) {
    if (text == "ms") return 1ms;
    if (text == "s") return 1s;
    if (text == "m") return 1min;
    if (text == "h") return 1h;
    if (text == "d") return 24h;
    return std::nullopt;
}

std::string in_words(milliseconds span) {
    if (span % 24h == 0ms) return std::to_string(span / 24h) + "d";
    if (span % 1s == 0ms) return std::to_string(span / 1s) + "s";
    return std::to_string(span.count()) + "ms";
}

milliseconds read_duration(std::string_view text, milliseconds least, milliseconds most,
                           std::string_view why_no_more = "") {
    std::string allowed =
        "a whole number and one of ms, s, m, h, d, from " + in_words(least) + " to " + in_words(most);
    if (!why_no_more.empty()) allowed.append(" (").append(why_no_more).append(")");
    const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = whole_number(text.substr(0, digits));
    const auto unit = unit_of(text.substr(digits));
    if (!number || !unit) throw bad_value{"is not a duration", allowed};
    // Compared in this way round, a huge number cannot overflow.
    if (*number > static_cast<std::uint64_t>(most / *unit)) throw bad_value{"is too long", allowed};
    const milliseconds span = *unit * static_cast<milliseconds::rep>(*number);
    if (span < least) throw bad_value{"is too short", allowed};
    return span;
}

// boost::urls takes any digits for a port.
bool has_usable_port(const boost::urls::url_view& url) {
    if (!url.has_port()) return true;
    const auto digits = url.port();
    const auto port = whole_number({digits.data(), digits.size()});
    return port && *port >= 1 && *port <= 65535;
}

std::string read_http_url(std::string_view text) {
    const std::string allowed = "an http:// or https:// URL";
    const auto url = boost::urls::parse_uri(boost::urls::string_view{text.data(), text.size()});
    if (!url) throw bad_value{"is not a URL", allowed};
    const bool http =
        url->scheme_id() == boost::urls::scheme::http || url->scheme_id() == boost::urls::scheme::https;
    if (!http) throw bad_value{"has the wrong scheme", allowed};
    if (url->encoded_host().empty()) throw bad_value{"names no host", allowed};
    if (!is_host(*url)) throw bad_value{"names a host that is none", allowed};
    if (!has_usable_port(*url)) throw bad_value{"has no usable port", allowed};
    return std::string{text};
}

// A base to which paths are appended.
std::string read_base_url(std::string_view text) {
    std::string url = read_http_url(text);
    if (url.find_first_of("?#") != std::string::npos)
        throw bad_value{"has a query or fragment",
                        "an http:// or https:// URL to which paths can be appended"};
    while (url.ends_with('/')) url.pop_back();
    return url;
}

// What a reader with a form of its own says is wrong, and what this variable may be.
template<class Read>
auto read_by(Read read, std::string_view text, const char* allowed) {
    try {
        return read(std::string{text});
    } catch (const std::invalid_argument& why) {
        throw bad_value{why.what(), allowed};
    }
}

std::string read_database_url(std::string_view text) {
    const std::string allowed = "postgresql://user:password@host:port/database, or keyword=value pairs";
    if (std::any_of(text.begin(), text.end(), is_control))
        throw bad_value{"has a control character", allowed};
    const bool is_uri = text.starts_with("postgresql://") || text.starts_with("postgres://");
    const bool is_pairs =
        text.find("://") == std::string_view::npos && text.find('=') != std::string_view::npos;
    if (!is_uri && !is_pairs) throw bad_value{"is not a PostgreSQL connection string", allowed};
    read_by(check_connection_string, text, allowed.c_str());
    return std::string{text};
}

std::string read_redis_url(std::string_view text) {
    read_by(parse_redis_url, text, "redis://[[user]:password@]host[:port][/database] or unix:///path");
    return std::string{text};
}

std::vector<std::string> read_origins(std::string_view text) {
    return read_by(parse_origins, text, "scheme://host[:port], separated by commas");
}

std::string read_service_key(std::string_view text) {
    const bool header_safe =
        std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (!header_safe) throw bad_value{"cannot be sent in a header", "printable ASCII without spaces"};
    return std::string{text};
}

std::string read_path(std::string_view text, std::size_t most) {
    const std::string allowed = "an absolute path of at most " + std::to_string(most) + " bytes";
    if (!text.starts_with('/') || !is_plain(text)) throw bad_value{"is not an absolute path", allowed};
    if (text.size() > most) throw bad_value{"is too long", allowed};
    return std::string{text};
}

// sockaddr_un holds 108 bytes, the terminating NUL included.
std::string read_socket_path(std::string_view text) {
    return read_path(text, 107);
}

// PATH_MAX is 4,096, and a file that is put in its place has a longer name before.
std::string read_file_path(std::string_view text) {
    return read_path(text, 4'000);
}

bool read_switch(std::string_view text) {
    if (text == "on") return true;
    if (text == "off") return false;
    throw bad_value{"is neither", "on or off"};
}

log::level read_log_level(std::string_view text) {
    if (text == "debug") return log::level::debug;
    if (text == "info") return log::level::info;
    if (text == "warn") return log::level::warn;
    if (text == "error") return log::level::error;
    throw bad_value{"is not a level", "debug, info, warn or error"};
}

// The table.
const std::array variables{
    variable{"PORT", "port", "3050", "Port that nginx listens on", secrecy::open,
             [](configuration& c, std::string_view text) {
                 c.port = static_cast<std::uint16_t>(read_number(text, 1, 65535));
             }},
    variable{"DATABASE_URL", "connection string", "postgresql://mana:devpassword@localhost:5432/mana_sync",
             "PostgreSQL, directly or through PgBouncer", secrecy::secret,
             [](configuration& c, std::string_view text) { c.database_url = read_database_url(text); }},
    variable{"JWKS_URL", "URL", "http://localhost:3001/api/auth/jwks",
             "Where the public keys of tokens are published", secrecy::secret,
             [](configuration& c, std::string_view text) { c.jwks_url = read_http_url(text); }},
    variable{"CORS_ORIGINS", "list", "http://localhost:5173,http://localhost:5188",
             "Origins of web apps that may call, separated by commas", secrecy::open,
             [](configuration& c, std::string_view text) { c.cors_origins = read_origins(text); }},
    variable{"MANA_CREDITS_URL", "URL", "http://localhost:3061",
             "Billing service that says whether sync is active", secrecy::secret,
             [](configuration& c, std::string_view text) { c.mana_credits_url = read_base_url(text); }},
    variable{"MANA_SERVICE_KEY", "secret", "dev-service-key",
             "Sent as X-Service-Key to billing and memberships", secrecy::secret,
             [](configuration& c, std::string_view text) { c.mana_service_key = read_service_key(text); }},
    variable{"REDIS_URL", "URL", "redis://localhost:6379",
             "Redis for notifications: redis://[[user]:password@]host[:port][/database] or unix:///path",
             secrecy::secret,
             [](configuration& c, std::string_view text) { c.redis_url = read_redis_url(text); }},
    variable{"MANA_AUTH_URL", "URL", "", "Membership service; empty turns shared spaces off", secrecy::secret,
             [](configuration& c, std::string_view text) {
                 c.mana_auth_url = text.empty() ? std::string{} : read_base_url(text);
             }},
    variable{"GATE_CACHE", "duration", "5m",
             "How long answers of billing (inactive: at most 30 s) and memberships are kept", secrecy::open,
             [](configuration& c, std::string_view text) { c.gate_cache = read_duration(text, 1s, 1h); }},
    variable{"MAX_CLOCK_SKEW", "duration", "24h",
             "How far ahead of the server a change's claimed time may lie", secrecy::open,
             [](configuration& c, std::string_view text) {
                 c.max_clock_skew = read_duration(text, 1s, 365 * 24h);
             }},
    variable{"WORKERS", "number", "4", "FastCGI worker processes", secrecy::open,
             [](configuration& c, std::string_view text) { c.workers = read_number(text, 1, 1024); }},
    variable{"WORKER_REQUESTS", "number", "10000", "Requests after which a worker is replaced; 0: never",
             secrecy::open,
             [](configuration& c, std::string_view text) {
                 c.worker_requests = read_number(text, 0, 1'000'000'000);
             }},
    variable{
        "WORKER_MEMORY", "megabytes", "512", "Resident memory beyond which a worker is replaced; 0: never",
        secrecy::open,
        [](configuration& c, std::string_view text) { c.worker_memory = read_number(text, 0, 1'000'000); }},
    variable{"WORKER_SOCKET", "path", "/run/mana-sync/worker.sock",
             "Socket on which nginx reaches the workers", secrecy::open,
             [](configuration& c, std::string_view text) { c.worker_socket = read_socket_path(text); }},
    variable{"WORKER_METRICS", "path", "/run/mana-sync/worker.metrics",
             "File in which the workers count, for /metrics of the hub", secrecy::open,
             [](configuration& c, std::string_view text) { c.worker_metrics = read_file_path(text); }},
    variable{"HUB_SOCKET", "path", "/run/mana-sync/hub.sock", "Socket on which nginx reaches the hub",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.hub_socket = read_socket_path(text); }},
    variable{"KEYS_FILE", "path", "/run/mana-sync/keys.json",
             "File in which workers and hub share the public keys of tokens", secrecy::open,
             [](configuration& c, std::string_view text) { c.keys_file = read_file_path(text); }},
    variable{"MAX_CHANGES", "number", "10000", "Changes in one push; more are refused with 400",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.max_changes = read_number(text, 1, 100000); }},
    variable{"MAX_FIELDS", "number", "1000", "Fields of one change; one with more is refused alone",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.max_fields = read_number(text, 1, 10000); }},
    variable{"MAX_NESTING", "number", "128",
             "Levels of nesting in a field's value; a change with more is refused alone", secrecy::open,
             [](configuration& c, std::string_view text) { c.max_nesting = read_number(text, 1, 128); }},
    variable{"MAX_SPACES", "number", "200", "Shared spaces of one user; further ones are not shown",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.max_spaces = read_number(text, 1, 1000); }},
    variable{"MAX_REQUESTS", "number", "100",
             "Requests a second of one user, for long; one device may have half of them; 0: any number",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.max_requests = read_number(text, 0, 100000); }},
    variable{
        "MAX_CONNECTIONS", "number", "100", "Open WebSockets and streams of one user on a hub", secrecy::open,
        [](configuration& c, std::string_view text) { c.max_connections = read_number(text, 1, 10000); }},
    variable{"PAGE_ROWS", "number", "1000",
             "Rows in a page of a pull; a stream's has half as many, a push's answer five times",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.page_rows = read_number(text, 2, 1000); }},
    variable{"LOST_WRITES_DAYS", "days", "30", "How long writes that lost are kept", secrecy::open,
             [](configuration& c, std::string_view text) {
                 c.lost_writes_kept = std::chrono::days{read_number(text, 1, 3650)};
             }},
    variable{"SPACES_STALE_HOURS", "hours", "24",
             "How long the last known memberships serve while the membership service is down", secrecy::open,
             [](configuration& c, std::string_view text) {
                 c.spaces_stale = std::chrono::hours{read_number(text, 0, 8760)};
             }},
    variable{
        "STATEMENT_TIMEOUT", "duration", "5s", "Longest time that one database statement may take",
        secrecy::open,
        [](configuration& c, std::string_view text) { c.statement_timeout = read_duration(text, 10ms, 1h); }},
    variable{
        "LOCK_TIMEOUT", "duration", "800ms", "Longest wait for a database lock before a push is tried again",
        secrecy::open,
        [](configuration& c, std::string_view text) {
            c.lock_timeout = read_duration(
                text, 10ms, 999ms,
                "it must stay below PostgreSQL's deadlock_timeout of 1s, or pushes meet deadlock checks");
        }},
    variable{"PREPARED_STATEMENTS", "on|off", "on", "Off for PgBouncer before 1.21 in transaction pooling",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.prepared_statements = read_switch(text); }},
    variable{"LOG_LEVEL", "level", "info", "Least severity that is logged: debug, info, warn or error",
             secrecy::open,
             [](configuration& c, std::string_view text) { c.log_level = read_log_level(text); }},
};

// A value as part of a one-line message.
std::string shown(std::string_view value) {
    constexpr std::size_t most = 60;
    std::string out{value.substr(0, most)};
    std::replace_if(out.begin(), out.end(), is_control, '?');
    return '"' + out + (value.size() > most ? "\"..." : "\"");
}

std::string explain(const variable& entry, std::string_view value, const bad_value& why) {
    const bool is_open = entry.shown == secrecy::open && value.find('@') == std::string_view::npos;
    std::string line = entry.name;
    line += is_open ? ": " + shown(value) + ' ' : ": its value ";
    return line + why.what + "; allowed: " + why.allowed;
}

// The defaults of secrets are those of a development machine and public: only values that are set are hidden.
std::string shown_default(const variable& entry) {
    return *entry.fallback == '\0' ? "empty" : entry.fallback;
}

} // namespace

configuration load_configuration(const environment& lookup) {
    configuration filled;
    for (const variable& entry : variables) {
        const char* const set = lookup(entry.name);
        const std::string_view text = set != nullptr && *set != '\0' ? set : entry.fallback;
        try {
            entry.read(filled, text);
        } catch (const bad_value& why) {
            throw configuration_error{explain(entry, text, why)};
        }
    }
    return filled;
}

configuration load_configuration() {
    return load_configuration([](const char* name) -> const char* {
        return std::getenv(name); // NOLINT(concurrency-mt-unsafe): read before threads start, see the header
    });
}

std::vector<variable_default> variable_defaults() {
    std::vector<variable_default> all;
    all.reserve(variables.size());
    for (const variable& entry : variables) all.push_back({entry.name, entry.fallback});
    return all;
}

std::string environment_help() {
    std::string text = "Environment:\n";
    for (const variable& entry : variables) {
        text.append("  ").append(entry.name).append("  (").append(entry.type).append(")\n");
        text.append("      ").append(entry.meaning).append("\n");
        text.append("      default: ").append(shown_default(entry)).append("\n");
    }
    return text;
}

std::string sample_environment_file() {
    std::string text = "# Settings of mana-sync. Each line shows a default; remove the # to change one.\n";
    for (const variable& entry : variables) {
        text.append("\n# ").append(entry.meaning).append(" (").append(entry.type).append(")\n");
        text.append("#").append(entry.name).append("=").append(entry.fallback).append("\n");
    }
    return text;
}

std::string readme_rows() {
    std::string text;
    for (const variable& entry : variables) {
        std::string type{entry.type};
        if (const auto bar = type.find('|'); bar != std::string::npos) type.replace(bar, 1, "\\|");
        const std::string fallback =
            *entry.fallback == '\0' ? "empty" : '`' + std::string{entry.fallback} + '`';
        text.append("| `").append(entry.name).append("` | ").append(type).append(" | ");
        text.append(fallback).append(" | ").append(entry.meaning).append(" |\n");
    }
    return text;
}

} // namespace mana::runtime
