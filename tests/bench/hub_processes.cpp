#include "tests/bench/hub_processes.hpp"

#include <array>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace mana::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 5> parts{"hub", "nginx", "worker", "postgres", "redis"};

double ticks_a_second() {
    return static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct process {
    int parent = 0;
    double seconds = 0; // with those of children that have ended
};

/// Nothing for one that has gone.
std::optional<process> read_process(const fs::path& folder) {
    std::ifstream file{folder / "stat"};
    std::string text;
    if (!std::getline(file, text)) return std::nullopt;
    // The name, in parentheses, may hold anything. After it: the state, the parent, and as 12th to 15th the
    // times.
    std::istringstream rest{text.substr(text.rfind(')') + 1)};
    std::vector<std::string> fields;
    for (std::string field; rest >> field;) fields.push_back(field);
    process found{std::stoi(fields.at(1)), 0};
    for (std::size_t i = 11; i < 15; ++i) found.seconds += std::stod(fields.at(i)) / ticks_a_second();
    return found;
}

std::map<int, process> all_processes() {
    std::map<int, process> found;
    for (const auto& entry : fs::directory_iterator{"/proc"}) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        if (const auto each = read_process(entry.path())) found.emplace(std::stoi(name), *each);
    }
    return found;
}

/// All but the time that processors were idle or waited for a disk.
double busy_seconds() {
    std::ifstream file{"/proc/stat"};
    std::string heading;
    file >> heading;
    double busy = 0;
    double ticks = 0;
    for (int i = 0; i < 7 && file >> ticks; ++i) // user, nice, system, idle, iowait, irq, softirq
        if (i != 3 && i != 4) busy += ticks;
    return busy / ticks_a_second();
}

/// The value of a line "NAME: 123 kB", in bytes.
double bytes_in(const fs::path& file, std::string_view name) {
    std::ifstream lines{file};
    const std::string key = std::string{name} + ':';
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with(key)) return 1024 * std::stod(line.substr(key.size()));
    throw std::runtime_error(file.string() + " has no " + std::string{name});
}

fs::path folder_of(int pid) {
    return "/proc/" + std::to_string(pid);
}

} // namespace

cpu_times stack_processes::cpu() const {
    const auto running = all_processes();
    cpu_times taken;
    for (const auto part : parts) {
        const int root = pid_of(std::string{part});
        double& sum = taken.of[std::string{part}];
        for (const auto& [pid, each] : running)
            if (pid == root || each.parent == root) sum += each.seconds;
    }
    taken.of["client"] = running.at(getpid()).seconds;
    taken.all = busy_seconds();
    return taken;
}

double stack_processes::resident(const std::string& part) const {
    return bytes_in(folder_of(pid_of(part)) / "status", "VmRSS");
}

double stack_processes::proportional(const std::string& part) const {
    const int root = pid_of(part);
    double sum = 0;
    for (const auto& [pid, each] : all_processes())
        if (pid == root || each.parent == root) sum += bytes_in(folder_of(pid) / "smaps_rollup", "Pss");
    return sum;
}

int stack_processes::pid_of(const std::string& part) const {
    int pid = 0;
    if (!(std::ifstream{run_dir_ / (part + ".pid")} >> pid)) throw std::runtime_error(part + " does not run");
    return pid;
}

double kernel_memory() {
    return bytes_in("/proc/meminfo", "Slab");
}

std::size_t ephemeral_ports() {
    std::size_t lowest = 0;
    std::size_t highest = 0;
    if (!(std::ifstream{"/proc/sys/net/ipv4/ip_local_port_range"} >> lowest >> highest)) return 0;
    return highest - lowest + 1;
}

std::size_t raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_max;
}

} // namespace mana::bench
