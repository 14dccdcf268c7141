// What the parts of the stack take, as the kernel tells: processor time and memory. A part is the process
// that the run folder's NAME.pid tells of, and its children.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

namespace mana::bench {

/// Seconds of processor time since some moment in the past: differences are what counts.
struct cpu_times {
    std::map<std::string, double>
        of;         ///< hub, nginx, worker, postgres, redis, and client, which is this process
    double all = 0; ///< of the machine, whoever took them
};

class stack_processes {
  public:
    explicit stack_processes(std::filesystem::path run_dir) : run_dir_(std::move(run_dir)) {}

    /// All of these throw std::runtime_error where a part does not run.
    [[nodiscard]] cpu_times cpu() const;
    /// Resident memory of one process, in bytes.
    [[nodiscard]] double resident(const std::string& part) const;
    /// Memory of a part's processes, in bytes; pages that they share are counted once.
    [[nodiscard]] double proportional(const std::string& part) const;

  private:
    const std::filesystem::path run_dir_;

    [[nodiscard]] int pid_of(const std::string& part) const;
};

/// The kernel's own objects (Slab of /proc/meminfo), in bytes: sockets and what they need, on all ends.
double kernel_memory();

/// How many ports an address has for outgoing connections.
std::size_t ephemeral_ports();

/// Each connection takes a descriptor. Returns how many there may be.
std::size_t raise_descriptor_limit();

} // namespace mana::bench
