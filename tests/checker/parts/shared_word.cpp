#include "tests/checker/parts/shared_word.hpp"

#include "shared/runtime/unique_fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>
#include <system_error>

namespace mana::checker {

shared_word::shared_word(const std::string& file, access how) {
    const bool writes = how == access::write;
    const runtime::unique_fd opened{::open(file.c_str(), (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC)};
    const int protection = writes ? PROT_READ | PROT_WRITE : PROT_READ;
    void* const memory = ::mmap(nullptr, sizeof(word), protection, MAP_SHARED, opened.get(), 0);
    if (memory == MAP_FAILED) throw std::system_error{errno, std::generic_category(), file};
    shared_ = static_cast<word*>(memory);
}

shared_word::~shared_word() {
    ::munmap(shared_, sizeof(word));
}

// As long as a word before it is mapped: who touched one beyond a file's end would be ended by SIGBUS.
const std::string& shared_word::make(const std::string& file) {
    using std::filesystem::perms;
    std::ofstream{file}.close();
    std::filesystem::resize_file(file, sizeof(word));
    std::filesystem::permissions(file, perms::owner_read | perms::owner_write | perms::group_read |
                                           perms::others_read);
    return file;
}

} // namespace mana::checker
