#include "tests/end_to_end/own_parts.hpp"

#include "tests/end_to_end/environment.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <map>
#include <stdexcept>

namespace mana::end_to_end {
namespace {

using namespace std::chrono_literals;
namespace files = std::filesystem;

struct finish_connection {
    void operator()(PGconn* conn) const { PQfinish(conn); }
};
struct clear_result {
    void operator()(PGresult* result) const { PQclear(result); }
};

std::string text_of(const redisReply& reply) {
    if (reply.type == REDIS_REPLY_INTEGER) return std::to_string(reply.integer);
    if (reply.str != nullptr) return {reply.str, reply.len};
    std::string lines;
    for (std::size_t at = 0; at < reply.elements; ++at)
        lines += (at == 0 ? "" : "\n") + text_of(*reply.element[at]);
    return lines;
}

// The URL of one database for another.
std::string with_database(const char* variable, const std::string& name) {
    std::string url = required_environment(variable);
    const std::string_view of_stack = "/mana_sync?";
    const auto place = url.find(of_stack);
    if (place == std::string::npos)
        throw std::runtime_error{std::string{variable} + " names another database"};
    return url.replace(place, of_stack.size(), "/" + name + "?");
}

std::string run_at(const std::string& url, const std::string& statement) {
    const std::unique_ptr<PGconn, finish_connection> conn{PQconnectdb(url.c_str())};
    const std::unique_ptr<PGresult, clear_result> result{PQexec(conn.get(), statement.c_str())};
    const auto status = PQresultStatus(result.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        throw std::runtime_error{PQerrorMessage(conn.get())};
    return PQntuples(result.get()) > 0 ? PQgetvalue(result.get(), 0, 0) : "";
}

std::string name_of_database() {
    auto name = fresh("own");
    std::ranges::replace(name, '-', '_');
    return name;
}

} // namespace

std::string script_in(const scratch_folder& folder, const std::string& name, const std::string& command) {
    const auto file = folder.file(name);
    std::ofstream{file} << "#!/bin/sh\nexec " << command << '\n';
    files::permissions(file, files::perms::owner_all);
    return file;
}

own_redis::own_redis(const scratch_folder& folder, const std::string& name,
                     const std::vector<std::string>& options)
    : socket_{folder.file(name + ".sock")} {
    const auto file = folder.file(name + ".conf");
    {
        std::ofstream configuration{file};
        configuration << "port 0\nunixsocket " << socket_
                      << "\nunixsocketperm 700\nsave \"\"\nappendonly no\n";
        configuration << "logfile " << folder.file(name + ".log") << '\n';
        configuration << "dbfilename " << name << ".rdb\ndir " << folder.file("") << '\n';
        for (const auto& line : options) configuration << line << '\n';
    }
    process_ = std::make_unique<program_process>(script_in(folder, name, "redis-server " + file), folder,
                                                 std::map<std::string, std::string>{}, -1);
    const bool answers = await([&] {
        if (auto connected = store::connect_redis(store::parse_redis_url(url()), 5s))
            connection_ = std::move(*connected);
        return connection_ != nullptr;
    });
    if (!answers) throw std::runtime_error{"Redis does not answer: " + process_->log()};
}

std::string own_redis::ask(std::initializer_list<std::string_view> words) {
    if (!store::append_command(*connection_, words) || !store::flush_commands(*connection_))
        throw std::runtime_error{store::lost_because(*connection_)};
    const auto reply = store::next_reply(*connection_, std::chrono::steady_clock::now() + 5s);
    if (!reply) throw std::runtime_error{"Redis gives no answer"};
    return text_of(*reply);
}

std::vector<std::string> own_redis::stream() {
    std::vector<std::string> entries;
    std::string rest = ask({"XRANGE", "mana-sync:1:log", "-", "+"}) + '\n';
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
        if (rest.front() == '{') entries.push_back(rest.substr(0, end));
        rest.erase(0, end + 1);
    }
    return entries;
}

own_database::own_database(const scratch_folder& folder) : name_{name_of_database()} {
    run_at(required_environment("MANA_TEST_SUPERUSER_URL"), "create database " + name_ + " owner mana_owner");
    const auto migrate = required_environment("MANA_TEST_NGINX_TEMPLATE_DIR") + "/../sql/migrate";
    program_process done{script_in(folder, "migrate", migrate + " >&2"),
                         folder,
                         {{"MIGRATE_DATABASE_URL", with_database("MANA_TEST_OWNER_URL", name_)}},
                         -1};
    if (done.await_end() != 0) throw std::runtime_error{"the migrations fail: " + done.log()};
}

own_database::~own_database() {
    try {
        run_at(required_environment("MANA_TEST_SUPERUSER_URL"), "drop database " + name_ + " with (force)");
    } catch (const std::exception&) {
        return; // it goes with the cluster
    }
}

std::string own_database::url() const {
    return with_database("MANA_TEST_DATABASE_URL", name_);
}

std::string own_database::run(const std::string& statement) const {
    return run_at(with_database("MANA_TEST_SUPERUSER_URL", name_), statement);
}

} // namespace mana::end_to_end
