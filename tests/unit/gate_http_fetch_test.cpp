// What can be said of GETs without a network: schemes, and the names that go into paths.
#include "shared/gate/http_fetch.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <string>

namespace mana::gate {
namespace {

TEST(http_client, fetches_by_http_and_https_alone) {
    http_client client;
    for (const std::string url : {"file:///etc/passwd", "ftp://localhost/x", "gopher://localhost/x",
                                  "dict://localhost/", "", "http://", "nonsense url"}) {
        const auto reply = client.get(url, std::chrono::milliseconds{200});
        ASSERT_FALSE(reply) << url;
        EXPECT_FALSE(reply.error().reason.empty()) << url;
    }
}

TEST(path_segment, keeps_a_name_from_becoming_another_path) {
    EXPECT_EQ(path_segment("user-1_a.b~"), "user-1_a.b~");
    EXPECT_EQ(path_segment("a/../b?c#d e%"), "a%2F..%2Fb%3Fc%23d%20e%25");
    EXPECT_EQ(path_segment("."), "%2E");
    EXPECT_EQ(path_segment(".."), "%2E%2E");
    EXPECT_EQ(path_segment("\xc3\xbc"), "%C3%BC");
    EXPECT_EQ(path_segment(""), "");
}

} // namespace
} // namespace mana::gate
