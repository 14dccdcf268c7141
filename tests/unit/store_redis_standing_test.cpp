// Which errors of Redis mean that another connection may do better.
#include "shared/store/redis_standing.hpp"

#include <gtest/gtest.h>

namespace mana::store {
namespace {

TEST(redis_error, of_a_server_that_is_not_the_one_to_talk_to_calls_for_a_new_connection) {
    for (const char* const error :
         {"READONLY You can't write against a read only replica.",
          "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
          "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "CLUSTERDOWN The cluster is down",
          "TRYAGAIN Multiple keys request during rehashing of slot",
          "LOADING Redis is loading the dataset in memory", "NOAUTH Authentication required."})
        EXPECT_TRUE(calls_for_new_connection(error)) << error;
}

TEST(redis_error, that_would_be_the_same_again_does_not) {
    for (const char* const error : {"OOM command not allowed when used memory > 'maxmemory'.",
                                    "NOPERM this user has no permissions to run the 'xadd' command",
                                    "WRONGTYPE Operation against a key holding the wrong kind of value",
                                    "MISCONF Redis is configured to save RDB snapshots",
                                    "NOREPLICAS Not enough good replicas to write.", "ERR unknown command",
                                    "READONLYISH no such thing", ""})
        EXPECT_FALSE(calls_for_new_connection(error)) << error;
}

} // namespace
} // namespace mana::store
