// A client that listens to an event stream all the time and holds what it is told, by the rules of the
// existing client. Cut off, it comes back with the last id.
#pragma once

#include "shared/sync/json.hpp"
#include "tests/checker/link.hpp"
#include "tests/history/device.hpp"

#include <atomic>
#include <chrono>
#include <curl/curl.h>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace mana::checker {

class follower {
  public:
    /// Listens from now on, in a thread of its own, to all that the user is shown from the epoch on. `means`
    /// outlives it.
    follower(link_means& means, history::caller who, std::string token);
    ~follower();
    follower(const follower&) = delete;
    follower& operator=(const follower&) = delete;

    /// Asks it to end; the destructor waits for it.
    void stop();

    [[nodiscard]] const history::caller& who() const { return who_; }
    [[nodiscard]] sync::json_value record(const std::string& id) const;
    /// When it was told something last.
    [[nodiscard]] std::chrono::steady_clock::time_point last_told() const;
    /// What it was told of a record, and when it began to listen with which id: one line each, in order.
    [[nodiscard]] std::vector<std::string> history_of(const std::string& record) const;
    /// What went wrong for good; empty: nothing.
    [[nodiscard]] std::string failure() const;

  private:
    struct free_multi {
        void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
    };
    struct event {
        std::string name;
        std::string id;
        std::string data;
    };

    void follow();
    void listen();
    void perform(CURL* stream);
    static std::size_t take(const char* bytes, std::size_t size, std::size_t count, void* self);
    void take_text(std::string_view text);
    void take_line(std::string_view line);
    void finish_event();
    void note(const std::string& record, const std::string& text); ///< under the lock

    link_means& means_;
    const history::caller who_;
    const std::string token_;
    std::atomic<bool> ends_{false};
    const std::unique_ptr<CURLM, free_multi> streams_; ///< one at a time; whoever stops it wakes it

    // The thread's own.
    std::string unread_;
    event event_;
    std::string last_id_;

    mutable std::mutex lock_; ///< guards what follows
    link unused_;             ///< a device needs one; this one is told everything
    history::device store_;
    std::chrono::steady_clock::time_point last_told_;
    std::string failure_;
    struct heard {
        std::string record; ///< empty: it began to listen
        std::string text;
    };
    std::vector<heard> heard_;

    std::thread thread_; ///< last: it uses all of the above
};

} // namespace mana::checker
