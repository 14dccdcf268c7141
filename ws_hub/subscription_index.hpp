// Who listens to which scope: a two-way index, so that a disconnect costs what that connection had subscribed
// to. Pure: no sockets, no I/O. Used on the io thread only.
#pragma once

#include "shared/store/notification.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace mana::hub {

/// One connection, as those see it that have something for it. Both calls only queue: neither may change the
/// index before it returns.
class subscriber {
  public:
    virtual ~subscriber() = default;
    /// Something was committed in a scope that this connection listens to.
    virtual void hear(const store::notification& told) = 0;
    /// The hub stops: say goodbye.
    virtual void dismiss() = 0;
};

/// Holds no ownership: a connection calls remove() before it ends.
class subscription_index {
  public:
    using subscribers = std::unordered_set<subscriber*>;

    /// A connection that listens to nothing yet. Adding one twice changes nothing.
    void add(subscriber& who);
    /// Makes `who` listen to `scope` as well. Twice is once.
    void subscribe(subscriber& who, const std::string& scope);
    void unsubscribe(subscriber& who, const std::string& scope);
    /// Forgets the connection and all that it listened to. One that is not known is no error.
    void remove(subscriber& who);

    /// Empty where nobody listens. Valid until the index changes.
    [[nodiscard]] const subscribers& of(const std::string& scope) const;
    /// How many connections of a user say who they are.
    [[nodiscard]] std::size_t connections_of(const std::string& user) const;
    /// What it listens to, in no order.
    [[nodiscard]] std::vector<std::string> scopes_of(subscriber& who) const;
    /// Every connection that was added.
    [[nodiscard]] std::vector<subscriber*> all() const;

    /// Connections that listen to anything: those that said who they are.
    [[nodiscard]] std::size_t connections() const { return listening_; }
    /// Users with at least one connection: scopes "u:…".
    [[nodiscard]] std::size_t users() const { return users_; }

  private:
    using scope_map = std::unordered_map<std::string, subscribers>;
    using scope_entry = scope_map::value_type; // stays where it is while others come and go

    scope_map by_scope_; // no entry is empty
    std::unordered_map<subscriber*, std::vector<scope_entry*>> by_connection_;
    std::size_t listening_ = 0;
    std::size_t users_ = 0;

    void leave(subscriber& who, scope_entry& scope);
};

} // namespace mana::hub
