// Header lines in the form that libcurl takes them.
#pragma once

#include <curl/curl.h>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace mana::gate {

struct free_header_list {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
// Owns the list; a handle that was told of it only looks at it, so it outlives the transfer.
using header_list = std::unique_ptr<curl_slist, free_header_list>;

// Each line is "Name: value". Throws std::bad_alloc.
[[nodiscard]] inline header_list header_list_of(const std::vector<std::string>& lines) {
    header_list list;
    for (const auto& line : lines) {
        curl_slist* const longer = curl_slist_append(list.get(), line.c_str());
        if (longer == nullptr) throw std::bad_alloc{};
        (void)list.release(); // the new head owns the old list
        list.reset(longer);
    }
    return list;
}

} // namespace mana::gate
