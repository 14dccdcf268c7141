// A Redis and a database that are a test's own, for what would disturb all others: the hub of the stack would
// else find the pushes of this test, and tell them where nobody looks.
#pragma once

#include "shared/store/redis.hpp"
#include "tests/end_to_end/worker_process.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mana::end_to_end {

// A program in `folder` that runs a command of a shell, for whoever starts programs by their name alone.
std::string script_in(const scratch_folder& folder, const std::string& name, const std::string& command);

// A Redis on a socket in `folder`, which answers when the constructor returns, and ends with the test.
class own_redis {
  public:
    // `options`: lines of its configuration.
    own_redis(const scratch_folder& folder, const std::string& name,
              const std::vector<std::string>& options = {});

    [[nodiscard]] const std::string& socket() const { return socket_; }
    [[nodiscard]] std::string url() const { return "unix://" + socket_; }

    // The answer's text or number, "" for nothing; the lines of a list, one after the other. An error is its
    // text.
    std::string ask(std::initializer_list<std::string_view> words);
    // The entries of the stream, as JSON text, oldest first.
    std::vector<std::string> stream();

  private:
    std::string socket_;
    std::unique_ptr<program_process> process_;
    store::redis_context connection_;
};

// A database with all migrations, dropped with the test.
class own_database {
  public:
    explicit own_database(const scratch_folder& folder);
    ~own_database();
    own_database(const own_database&) = delete;
    own_database& operator=(const own_database&) = delete;

    // Of the service's role.
    [[nodiscard]] std::string url() const;
    // As superuser; the first value of the first row, or "".
    std::string run(const std::string& statement) const;

  private:
    const std::string name_;
};

} // namespace mana::end_to_end
