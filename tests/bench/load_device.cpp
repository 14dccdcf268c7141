#include "tests/bench/load_device.hpp"

#include "tests/bench/sample.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <random>
#include <utility>

namespace mana::bench {
namespace {

std::string random_hex() {
    thread_local std::mt19937_64 random{std::random_device{}()};
    std::array<char, 33> text{};
    std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(random()),
                  static_cast<unsigned long long>(random()));
    return text.data();
}

} // namespace

device::device(const user& of, std::size_t place, std::string client)
    : of_{&of}, place_{place}, client_{std::move(client)}, headers_{"Authorization: Bearer " + of.token,
                                                                    "X-Client-Id: " + client_} {}

device device::another(std::string client) const {
    device other{*of_, place_, std::move(client)};
    other.set_cursor(cursor());
    return other;
}

void device::set_cursor(std::string cursor) {
    cursors_.clear();
    cursors_.push_back(std::move(cursor));
}

void device::add_cursor(std::string cursor, std::size_t lag) {
    cursors_.push_back(std::move(cursor));
    while (cursors_.size() > lag + 1) cursors_.pop_front();
}

std::string device::new_records(int count) {
    last_records_.clear();
    std::vector<std::string> changes;
    const auto now = claim();
    for (int i = 0; i < count; ++i) {
        last_records_.push_back(random_hex());
        changes.push_back(sample_insert(last_records_.back(), now, i));
    }
    return push_body(client_, cursor(), changes);
}

std::string device::one_change() {
    if (of_->record.empty()) return new_records(1);
    auto change = sample_update(of_->record, claim(), ++changes_);
    if (!of_->space.empty()) change.insert(change.size() - 1, R"(,"spaceId":")" + of_->space + '"');
    return push_body(client_, cursor(), {change});
}

std::string device::update_last_records() {
    std::vector<std::string> changes;
    const auto now = claim();
    for (const auto& record : last_records_) changes.push_back(sample_update_of_all(record, now, ++changes_));
    return push_body(client_, cursor(), changes);
}

// Never that of the last one: an equal claim would lose to it.
std::string device::claim() {
    const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
    last_claim_ = std::max(now, last_claim_ + std::chrono::milliseconds{1});
    return sync::to_text(last_claim_);
}

} // namespace mana::bench
