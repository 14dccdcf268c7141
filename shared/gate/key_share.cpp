#include "shared/gate/key_share.hpp"

namespace mana::gate {
namespace {

class lone_turn final : public key_share::turn {
  public:
    void publish(std::string_view /*jwks*/) override {}
};

class lone_share final : public key_share {
  public:
    std::optional<document> news() override { return std::nullopt; }
    std::optional<std::chrono::milliseconds> last_attempt() override { return std::nullopt; }
    std::unique_ptr<turn> take_turn() override { return std::make_unique<lone_turn>(); }
    void await_turn() const override {}
};

} // namespace

std::unique_ptr<key_share> no_share() {
    return std::make_unique<lone_share>();
}

} // namespace mana::gate
