#include "tests/checker/parts/processes.hpp"

#include "shared/runtime/unique_fd.hpp"
#include "tests/checker/database.hpp"
#include "tests/end_to_end/environment.hpp"
#include "tests/end_to_end/http_client.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace mana::checker {

using namespace std::chrono_literals;
using end_to_end::await;
using end_to_end::required_environment;

namespace {

/// Memberships and billing are asked again so soon that a run sees members come and go.
constexpr auto gate_cache = "1s";
constexpr auto worker_count = "3";
/// So small that a device which was away reads several, while others write.
constexpr auto page_rows = "200";
// Where the network is the checker's own.
constexpr int postgres_port = 5432;
constexpr int redis_port = 6379;

/// That tokens are valid for long enough is the identity service's doing: a day.
constexpr auto clock_ahead = 1h;
/// How far the clocks of programs on one host may be apart: they are cut to milliseconds.
constexpr auto clock_slack = 2ms;

const std::string postgres_bin = "/usr/lib/postgresql/15/bin/";

/// PostgreSQL refuses root: then it is the user postgres who runs it.
std::vector<std::string> as_postgres(std::vector<std::string> command) {
    if (::geteuid() == 0)
        command.insert(command.begin(),
                       {"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"});
    return command;
}

/// Beside what else is to be loaded before a program's own libraries.
void preload(program::settings& into, const std::string& library) {
    auto& libraries = into["LD_PRELOAD"];
    libraries += (libraries.empty() ? "" : ":") + library;
}

std::string contents_of(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream{file}.rdbuf();
    return text.str();
}

int free_port() {
    const runtime::unique_fd probe{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address); // the sockets API has it so
    if (::bind(probe.get(), generic, sizeof address) != 0 || ::getsockname(probe.get(), generic, &size) != 0)
        throw std::system_error{errno, std::generic_category(), "no free port"};
    return ntohs(address.sin_port);
}

bool can_connect(const std::string& path) {
    const runtime::unique_fd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::string filled_in(std::string text, const std::map<std::string, std::string>& values) {
    for (const auto& [name, value] : values) {
        const auto mark = '@' + name + '@';
        for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
            text.replace(at, mark.size(), value);
    }
    return text;
}

std::string nginx_program() {
    for (const auto* path : {"/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"})
        if (std::filesystem::exists(path)) return path;
    throw std::runtime_error("there is no nginx");
}

} // namespace

processes::processes(const needs& of_faults)
    : needs_(of_faults), name_(end_to_end::fresh("checker")), port_(free_port()), clock_(clock_slack) {
    if (needs_.network) network_ = std::make_unique<network>(folder_.file("network.log"));
    if (needs_.clock) hands_ = std::make_unique<stepping_clock>(clock_ahead, clock_);
    if (needs_.crash_points) points_ = std::make_unique<crash_points>(folder_.file("crash_point"));
    if (needs_.disk) disk_ = std::make_unique<small_disk>(postgres_folder_.file(""));
    if (needs_.postgres) {
        copy_postgres();
        start_postgres();
    }
    if (hands_) require_clock();
    start_redis();
    start_master();
    start_hub();
    start_nginx();
}

// All are asked at once, and waited for in the other order than they started. Whoever is still connected to
// PostgreSQL is not waited for, and Redis keeps nothing.
processes::~processes() {
    for (const auto* one : {&nginx_, &hub_, &master_})
        if (*one) (*one)->signal(SIGTERM);
    nginx_.reset();
    hub_.reset();
    master_.reset();
    if (redis_) redis_->kill();
    if (postgres_) postgres_->signal(SIGINT);
}

std::string processes::url() const {
    return "http://127.0.0.1:" + std::to_string(port_);
}

program::settings processes::program_settings() const {
    auto settings = end_to_end::hub_settings(folder_);
    const auto identity = required_environment("MANA_TEST_IDENTITY_URL");
    auto& database = settings["DATABASE_URL"] = database_url("MANA_TEST_DATABASE_URL");
    if (network_) database = database.substr(0, database.find('?')) + "?host=" + network_->address();
    database +=
        (database.find('?') == std::string::npos ? "?application_name=" : "&application_name=") + name_;
    settings["REDIS_URL"] =
        network_ ? "redis://" + network_->address() : "unix://" + folder_.file("redis.sock");
    settings["MANA_AUTH_URL"] = settings["MANA_CREDITS_URL"] = identity;
    settings["GATE_CACHE"] = gate_cache;
    settings["WORKERS"] = worker_count;
    settings["MAX_REQUESTS"] = "0"; // a run is faster than any user
    settings["PAGE_ROWS"] = page_rows;
    if (needs_.lasting_workers) settings["WORKER_REQUESTS"] = settings["WORKER_MEMORY"] = "0";
    go_by_clock(settings);
    return settings;
}

program::settings processes::settings_with_points(bool wanted) const {
    auto settings = program_settings();
    if (!wanted) return settings;
    settings.merge(points_->settings());
    preload(settings, crash_points::library());
    return settings;
}

void processes::require_clock() const {
    if (database{superuser_url()}.wall_clock() < std::chrono::system_clock::now() + hands_->ahead() - 1min)
        throw std::runtime_error("the stepping clock is not seen: " + log_of("postgres"));
}

void processes::go_by_clock(program::settings& settings) const {
    if (!hands_) return;
    settings.merge(hands_->settings());
    preload(settings, hands_->readable_library());
}

std::string processes::log_file(const std::string& part) const {
    return (disk_ ? postgres_folder_ : folder_).file(part + ".log");
}

void processes::copy_postgres() {
    const auto log = log_file("copy");
    const auto ran = [&](const std::vector<std::string>& command) {
        return program{command, {}, log}.succeeded();
    };
    const auto folder = postgres_folder_.file("");
    const auto copy = [&] {
        return ran(as_postgres({postgres_bin + "pg_basebackup", "--checkpoint=fast", "--no-sync", "-D",
                                folder + "data", "-d", required_environment("MANA_TEST_SUPERUSER_URL")}));
    };
    // Where another copy is made at the same time, it may miss a piece of the log: it leaves nothing then.
    const bool copied = (::geteuid() != 0 || ran({"chown", "postgres", folder})) && (copy() || copy());
    if (!copied) throw std::runtime_error("a copy of PostgreSQL: " + log_of("copy"));
    if (network_) let_in_workers();
}

void processes::let_in_workers() const {
    std::ofstream{postgres_folder_.file("data/pg_hba.conf"), std::ios::app}
        << "host all all " << network_->outer_address() << "/32 trust\n";
}

std::vector<std::string> processes::inside(std::vector<std::string> command) const {
    return network_ ? network_->inside(std::move(command)) : command;
}

// Without fsync: a stop of the program, unlike one of the host, loses nothing of what was written.
// On a small disk its own log is kept small too, and needs space for each segment.
void processes::start_postgres() {
    const auto folder = postgres_folder_.file("");
    program::settings settings;
    go_by_clock(settings);
    std::vector<std::string> command{postgres_bin + "postgres", "-D", folder + "data"};
    std::vector<std::string> values{"listen_addresses=" + (network_ ? network_->address() : ""),
                                    "port=" + std::to_string(postgres_port),
                                    "unix_socket_directories=" + folder,
                                    "max_connections=200",
                                    "timezone=UTC",
                                    "fsync=off"};
    if (disk_) values.insert(values.end(), {"min_wal_size=32MB", "max_wal_size=128MB", "wal_recycle=off"});
    for (const auto& value : values) command.insert(command.end(), {"-c", value});
    postgres_ =
        std::make_unique<program>(inside(as_postgres(std::move(command))), settings, log_file("postgres"));
    const auto url = superuser_url();
    const bool up = await([&] { return postgres_->ended() || PQping(url.c_str()) == PQPING_OK; }, 30s) &&
                    !postgres_->ended();
    if (!up) throw std::runtime_error("postgres: " + log_of("postgres"));
}

void processes::restart_postgres() {
    postgres_->signal(SIGQUIT);
    if (!await([this] { return postgres_->ended(); }, 10s)) postgres_->kill();
    start_postgres();
}

void processes::free_disk() {
    disk_->free_up();
    const auto url = superuser_url();
    if (!await([&] { return postgres_->ended() || PQping(url.c_str()) == PQPING_OK; }, 30s))
        throw std::runtime_error("postgres: " + log_of("postgres"));
    if (postgres_->ended()) start_postgres();
}

std::string processes::database_url(const char* variable) const {
    auto url = required_environment(variable);
    if (!postgres_) return url;
    return url.substr(0, url.find('?')) + "?host=" + postgres_folder_.file("") + "&port=5432";
}

void processes::start_redis() {
    const auto socket = folder_.file("redis.sock");
    redis_ = std::make_unique<program>(
        inside({"redis-server", "--port", std::to_string(network_ ? redis_port : 0), "--bind",
                network_ ? network_->address() : "127.0.0.1", "--protected-mode", "no", "--unixsocket",
                socket, "--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", folder_.file("")}),
        program::settings{}, folder_.file("redis.log"));
    if (!await([&] { return can_connect(socket); })) throw std::runtime_error("redis: " + log_of("redis"));
}

// Workers that were left behind may hold the socket for a moment: then the new master ends at its start.
void processes::start_master() {
    const auto up = [this] {
        if (!master_ || master_->ended())
            master_ = std::make_unique<program>(
                std::vector<std::string>{required_environment("MANA_TEST_WORKER_PROGRAM")},
                settings_with_points(needs_.crash_points), log_file("worker"));
        return await([this] { return master_->ended() || master_->children().size() >= 3; }, 2s) &&
               !master_->ended() && can_connect(folder_.file("worker.sock"));
    };
    if (!await(up, 15s)) throw std::runtime_error("worker: " + log_of("worker"));
}

void processes::start_hub() {
    const auto up = [this] {
        if (!hub_ || hub_->ended())
            hub_ = std::make_unique<program>(
                std::vector<std::string>{required_environment("MANA_TEST_HUB_PROGRAM")},
                settings_with_points(needs_.crash_points_of_hub), log_file("hub"));
        return can_connect(folder_.file("hub.sock"));
    };
    if (!await(up, 15s)) throw std::runtime_error("hub: " + log_of("hub"));
}

void processes::write_nginx_files() {
    const std::filesystem::path templates = required_environment("MANA_TEST_NGINX_TEMPLATE_DIR");
    const std::filesystem::path target = folder_.file("nginx");
    std::filesystem::create_directories(target / "snippets");
    if (disk_)
        std::filesystem::create_directory_symlink(postgres_folder_.file(""), folder_.file("log"));
    else
        std::filesystem::create_directories(folder_.file("log"));
    const std::map<std::string, std::string> values{{"USER", ::geteuid() == 0 ? "user root;" : ""},
                                                    {"USER_RATE", "100000r/s"},
                                                    {"RUN_DIR", folder_.file("")},
                                                    {"PORT", std::to_string(port_)},
                                                    {"WORKER_SOCKET", folder_.file("worker.sock")},
                                                    {"HUB_SOCKET", folder_.file("hub.sock")},
                                                    {"MAP_DIR", target},
                                                    {"ACCESS_LOG", folder_.file("log/access.log")}};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(templates)) {
        auto to = target / std::filesystem::relative(entry.path(), templates);
        if (to.extension() == ".in") to.replace_extension();
        if (to.extension() == ".conf") std::ofstream{to} << filled_in(contents_of(entry.path()), values);
    }
}

void processes::start_nginx() {
    write_nginx_files();
    const auto prefix = folder_.file("nginx");
    program::settings settings;
    go_by_clock(settings);
    nginx_ = std::make_unique<program>(std::vector<std::string>{nginx_program(), "-p", prefix, "-e", "stderr",
                                                                "-c", prefix + "/dev-nginx.conf"},
                                       settings, log_file("nginx"));
    const bool up =
        await([this] { return nginx_->ended() || (answers("/health") && answers("/sync/x/pull")); });
    if (!up || nginx_->ended()) throw std::runtime_error("nginx: " + log_of("nginx"));
}

/// Anything but nginx's own 503.
bool processes::answers(const std::string& path) const {
    try {
        return end_to_end::http_client{url()}.get(path).status < 500;
    } catch (const std::runtime_error&) {
        return false;
    }
}

void processes::restart_master() {
    master_->kill();
    start_master();
}

void processes::restart_hub() {
    hub_->kill();
    start_hub();
}

void processes::restart_redis() {
    redis_->kill();
    start_redis();
}

void processes::tell_redis(const std::vector<const char*>& words) const {
    struct free_redis {
        void operator()(redisContext* context) const { redisFree(context); }
        void operator()(redisReply* reply) const { freeReplyObject(reply); }
    };
    constexpr timeval patience{5, 0};
    const std::unique_ptr<redisContext, free_redis> context{
        redisConnectUnixWithTimeout(redis_socket().c_str(), patience)};
    if (!context || context->err != 0 || redisSetTimeout(context.get(), patience) != REDIS_OK)
        throw std::runtime_error("redis: no connection");
    auto given = words;
    const std::unique_ptr<redisReply, free_redis> reply{static_cast<redisReply*>(
        redisCommandArgv(context.get(), static_cast<int>(given.size()), given.data(), nullptr))};
    if (!reply || reply->type != REDIS_REPLY_STATUS)
        throw std::runtime_error("redis: " + std::string(words.front()) + " is refused");
}

std::unique_ptr<cut> processes::cut_off_from(cut_off which, lost_packets lost) const {
    std::vector<int> ports;
    if (which != cut_off::redis) ports.push_back(postgres_port);
    if (which != cut_off::postgres) ports.push_back(redis_port);
    return std::make_unique<cut>(*network_, ports, lost);
}

void processes::reload_nginx() const {
    nginx_->signal(SIGHUP);
}

std::string processes::log_of(const std::string& part) const {
    constexpr std::size_t most = 2'000;
    const auto log = contents_of(log_file(part));
    return log.size() > most ? log.substr(log.size() - most) : log;
}

} // namespace mana::checker
