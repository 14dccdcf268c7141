// What the parts use: memory, descriptors, connections.
#pragma once

#include "tests/checker/parts/processes.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <sys/types.h>

namespace mana::checker {

/// Of a program with all its children.
struct program_figures {
    std::size_t processes = 0;
    std::size_t memory = 0; ///< bytes; of what is shared between processes, each one's part
    std::size_t descriptors = 0;
};

struct figures {
    program_figures workers; ///< with their master
    program_figures hub;
    program_figures nginx;                           ///< old workers too, until they are gone
    std::optional<std::size_t> postgres_connections; ///< idle ones of workers and hub; nothing: it is away
    std::optional<std::size_t> redis_clients;        ///< the asking one too; nothing: it is away
    std::optional<std::size_t> redis_memory;         ///< bytes
};

/// Takes figures beside whoever strikes the parts: what it asks for stays the same as long as neither the
/// master, the hub nor nginx is started anew. Thread-safe.
class figures_source {
  public:
    explicit figures_source(const processes& of);
    [[nodiscard]] figures take() const;

  private:
    pid_t master_;
    pid_t hub_;
    pid_t nginx_;
    std::string postgres_url_;
    std::string application_;
    std::string redis_socket_;
};

} // namespace mana::checker
