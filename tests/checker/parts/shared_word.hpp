// One word of memory that the checker shares with programs of the server, by a file.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace mana::checker {

class shared_word {
  public:
    // Lock-free, so good among processes and in signal handlers.
    using word = std::atomic<std::int64_t>;
    static_assert(word::is_always_lock_free);

    enum class access { read, write };

    /// `file` holds a word, see make(). Throws std::system_error where it can't be opened.
    shared_word(const std::string& file, access how);
    ~shared_word();
    shared_word(const shared_word&) = delete;
    shared_word& operator=(const shared_word&) = delete;

    /// A file with a word that is 0, for all to read; gives its name. Throws
    /// std::filesystem::filesystem_error.
    static const std::string& make(const std::string& file);

    word& operator*() const { return *shared_; }
    word* operator->() const { return shared_; }

  private:
    word* shared_ = nullptr;
};

} // namespace mana::checker
