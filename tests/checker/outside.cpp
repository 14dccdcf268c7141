#include "tests/checker/outside.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <stdexcept>

namespace mana::checker {

namespace json = boost::json;

std::string outside::token_of(const std::string& user) {
    const std::lock_guard guard{lock_};
    auto& token = tokens_[user];
    if (!token.empty()) return token;
    auto reply = http_.get("/token?user=" + user);
    if (reply.status != 200) throw std::runtime_error{"the identity service gave no token"};
    return token = std::move(reply.body);
}

void outside::set_member(const std::string& user, const std::string& space, bool member) {
    const std::lock_guard guard{lock_};
    auto& spaces = spaces_[user];
    if (member)
        spaces.insert(space);
    else
        spaces.erase(space);
    json::array list;
    for (const auto& one : spaces) list.push_back(json::object{{"organizationId", one}, {"role", "member"}});
    const json::object wish{{"memberships", json::object{{user, list}}}};
    const auto reply = http_.post("/control", json::serialize(wish));
    if (reply.status != 200) throw std::runtime_error{"the identity service took no memberships"};
}

bool outside::is_member(const std::string& user, const std::string& space) const {
    const std::lock_guard guard{lock_};
    const auto found = spaces_.find(user);
    return found != spaces_.end() && found->second.contains(space);
}

} // namespace mana::checker
