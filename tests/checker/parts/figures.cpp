#include "tests/checker/parts/figures.hpp"

#include "tests/checker/database.hpp"
#include "tests/checker/parts/redis_console.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

namespace mana::checker {

namespace {

std::string folder_of(pid_t pid) {
    return "/proc/" + std::to_string(pid);
}

/// With all that it started. Processes that end meanwhile are left out.
std::vector<pid_t> family_of(pid_t parent) {
    std::vector<pid_t> all{parent};
    std::ifstream children{folder_of(parent) + "/task/" + std::to_string(parent) + "/children"};
    for (pid_t child = 0; children >> child;) all.push_back(child);
    return all;
}

/// Bytes; 0 where it has ended.
std::size_t memory_of(pid_t pid) {
    std::ifstream lines{folder_of(pid) + "/smaps_rollup"};
    for (std::string word; lines >> word;) {
        std::size_t kilobytes = 0;
        if (word == "Pss:" && lines >> kilobytes) return kilobytes * 1'024;
    }
    return 0;
}

std::size_t descriptors_of(pid_t pid) {
    std::error_code failed; // it may have ended
    std::size_t count = 0;
    for (std::filesystem::directory_iterator one{folder_of(pid) + "/fd", failed}, end; !failed && one != end;
         one.increment(failed))
        ++count;
    return count;
}

program_figures figures_of(pid_t parent) {
    program_figures sum;
    for (const auto pid : family_of(parent)) {
        const auto memory = memory_of(pid);
        if (memory == 0) continue;
        ++sum.processes;
        sum.memory += memory;
        sum.descriptors += descriptors_of(pid);
    }
    return sum;
}

std::optional<std::size_t> number_after(std::string_view text, std::string_view name) {
    const auto at = text.find(name);
    if (at == std::string_view::npos) return std::nullopt;
    return std::stoul(std::string(text.substr(at + name.size(), 20)));
}

} // namespace

figures_source::figures_source(const processes& of)
    : master_(of.master_pid()), hub_(of.hub_pid()), nginx_(of.nginx_pid()), postgres_url_(of.superuser_url()),
      application_(of.name()), redis_socket_(of.redis_socket()) {}

figures figures_source::take() const {
    figures taken{figures_of(master_), figures_of(hub_), figures_of(nginx_), {}, {}, {}};
    try {
        taken.postgres_connections = database{postgres_url_}.count_connections(application_);
    } catch (const std::runtime_error&) { // it is away
    }
    const auto told = ask_redis(redis_socket_, {"INFO"}).value_or("");
    taken.redis_clients = number_after(told, "connected_clients:");
    taken.redis_memory = number_after(told, "used_memory:");
    return taken;
}

} // namespace mana::checker
