// Who listens to which scope, and who is forgotten.
#include "ws_hub/subscription_index.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace mana::hub {
namespace {

class connection final : public subscriber {
  public:
    void hear(const store::notification& /*told*/) override {}
    void dismiss() override {}
};

using subscribers = subscription_index::subscribers;

TEST(subscription_index, finds_all_connections_of_a_scope_and_no_others) {
    subscription_index index;
    connection phone;
    connection laptop;
    connection stranger;
    index.subscribe(phone, "u:ann");
    index.subscribe(laptop, "u:ann");
    index.subscribe(stranger, "u:zed");
    EXPECT_EQ(index.of("u:ann"), (subscribers{&phone, &laptop}));
    EXPECT_EQ(index.of("u:zed"), (subscribers{&stranger}));
    EXPECT_TRUE(index.of("u:nobody").empty());
}

TEST(subscription_index, counts_connections_and_users_but_not_spaces) {
    subscription_index index;
    connection phone;
    connection laptop;
    index.subscribe(phone, "u:ann");
    index.subscribe(phone, "s:family");
    index.subscribe(laptop, "u:ann");
    EXPECT_EQ(index.connections(), 2U);
    EXPECT_EQ(index.users(), 1U);
    index.remove(phone);
    EXPECT_EQ(index.connections(), 1U);
    EXPECT_EQ(index.users(), 1U);
    index.remove(laptop);
    EXPECT_EQ(index.connections(), 0U);
    EXPECT_EQ(index.users(), 0U);
}

TEST(subscription_index, forgets_a_removed_connection_in_every_scope) {
    subscription_index index;
    connection phone;
    connection laptop;
    for (const char* scope : {"u:ann", "s:family", "s:work"}) {
        index.subscribe(phone, scope);
        index.subscribe(laptop, scope);
    }
    index.remove(phone);
    for (const char* scope : {"u:ann", "s:family", "s:work"})
        EXPECT_EQ(index.of(scope), (subscribers{&laptop}));
    EXPECT_EQ(index.all(), (std::vector<subscriber*>{&laptop}));
}

TEST(subscription_index, leaves_one_scope_and_keeps_the_others) {
    subscription_index index;
    connection phone;
    index.subscribe(phone, "u:ann");
    index.subscribe(phone, "s:family");
    index.unsubscribe(phone, "s:family");
    EXPECT_TRUE(index.of("s:family").empty());
    EXPECT_EQ(index.of("u:ann"), (subscribers{&phone}));
    index.unsubscribe(phone, "u:ann");
    EXPECT_EQ(index.connections(), 0U);
    EXPECT_EQ(index.users(), 0U);
    EXPECT_EQ(index.all().size(), 1U);
}

TEST(subscription_index, knows_connections_that_listen_to_nothing_yet) {
    subscription_index index;
    connection anonymous;
    index.add(anonymous);
    index.add(anonymous);
    EXPECT_EQ(index.all().size(), 1U);
    EXPECT_EQ(index.connections(), 0U);
    index.remove(anonymous);
    EXPECT_TRUE(index.all().empty());
}

TEST(subscription_index, takes_the_same_twice_as_once) {
    subscription_index index;
    connection phone;
    index.subscribe(phone, "u:ann");
    index.subscribe(phone, "u:ann");
    EXPECT_EQ(index.connections(), 1U);
    index.remove(phone);
    index.remove(phone);
    index.unsubscribe(phone, "u:ann");
    EXPECT_EQ(index.connections(), 0U);
    EXPECT_TRUE(index.of("u:ann").empty());
}

// Scopes that come and go must not move the entries that connections point to.
TEST(subscription_index, survives_many_scopes) {
    subscription_index index;
    std::vector<connection> all(2000);
    for (std::size_t i = 0; i < all.size(); ++i) {
        index.subscribe(all[i], "u:" + std::to_string(i / 2));
        index.subscribe(all[i], "s:shared");
    }
    EXPECT_EQ(index.users(), 1000U);
    EXPECT_EQ(index.of("s:shared").size(), 2000U);
    for (std::size_t i = 0; i < all.size(); i += 2) index.remove(all[i]);
    EXPECT_EQ(index.users(), 1000U);
    EXPECT_EQ(index.of("u:7"), (subscribers{&all[15]}));
    for (auto& each : all) index.remove(each);
    EXPECT_EQ(index.users(), 0U);
    EXPECT_TRUE(index.of("s:shared").empty());
}

} // namespace
} // namespace mana::hub
