// The id that follows a request through all logs.
#include "shared/runtime/request_id.hpp"

#include <gtest/gtest.h>

namespace mana::runtime {
namespace {

TEST(request_id, is_the_one_that_nginx_gave) {
    EXPECT_EQ(request_id("4f3a0c1d2e5b697881a9bacbdcedfe0f"), "4f3a0c1d2e5b697881a9bacbdcedfe0f");
    EXPECT_EQ(request_id("a-b_C9"), "a-b_C9");
}

TEST(request_id, is_made_where_none_is_given_or_it_would_not_fit_into_a_log) {
    for (const std::string& given : {std::string{}, std::string{"a b"}, std::string{"a\nb"}, std::string{"é"},
                                     std::string(41, 'a'), std::string{"a=b"}}) {
        const auto made = request_id(given);
        EXPECT_EQ(made.size(), 32U) << given;
        EXPECT_EQ(made.find_first_not_of("0123456789abcdef"), std::string::npos) << made;
    }
    EXPECT_NE(request_id(""), request_id(""));
}

} // namespace
} // namespace mana::runtime
