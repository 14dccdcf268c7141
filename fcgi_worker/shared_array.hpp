// Values in memory that a master shares with the workers that it forks.
#pragma once

#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>
#include <sys/mman.h>
#include <system_error>
#include <type_traits>

namespace mana::fcgi_worker {

// Stays where it is, in the master and in its children, for as long as the array does; each process unmaps it
// for itself. Items begin as their default constructor makes them. What processes change at once must be
// lock-free atomics.
template<class Item>
class shared_array {
    static_assert(std::is_trivially_destructible_v<Item>);

  public:
    // Throws std::system_error where there is no memory.
    explicit shared_array(std::size_t count) : items_{map(count), unmap{count}} {}

    [[nodiscard]] std::span<Item> items() const noexcept {
        return {items_.get(), items_.get_deleter().count};
    }

  private:
    struct unmap {
        std::size_t count;
        void operator()(Item* items) const noexcept { ::munmap(items, count * sizeof(Item)); }
    };

    static Item* map(std::size_t count) {
        void* const mapped =
            ::mmap(nullptr, count * sizeof(Item), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) // NOLINT: the macro is a C cast
            throw std::system_error{errno, std::generic_category(), "mmap"};
        auto* const items = static_cast<Item*>(mapped);
        std::uninitialized_default_construct_n(items, count);
        return items;
    }

    std::unique_ptr<Item, unmap> items_;
};

} // namespace mana::fcgi_worker
