#include "shared/gate/key_file.hpp"

#include "shared/gate/http_fetch.hpp"
#include "shared/runtime/unique_fd.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/system/result.hpp>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

namespace mana::gate {
namespace {

namespace json = boost::json;
namespace log = runtime::log;
using runtime::unique_fd;
using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr mode_t mode = 0600;
constexpr mode_t written_by_others = S_IWGRP | S_IWOTH;
constexpr mode_t opened_by_others = S_IRWXG | S_IRWXO;
constexpr off_t most_bytes = 4 * max_reply_bytes; // a document that is written anew may have grown
constexpr milliseconds between_looks{10};
constexpr milliseconds time_to_mark{30}; // from taking the lock

fetch_error error_of(int error) {
    return {std::generic_category().message(error)};
}

bool same(const std::timespec& a, const std::timespec& b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// Nothing for a time that is yet to come.
std::optional<milliseconds> age_of(const std::timespec& then) {
    const auto since_epoch = std::chrono::seconds{then.tv_sec} + std::chrono::nanoseconds{then.tv_nsec};
    const auto age = system_clock::now().time_since_epoch() - since_epoch;
    if (age < age.zero()) return std::nullopt;
    return std::chrono::duration_cast<milliseconds>(age);
}

// Why a file with these properties is not to be trusted, or nothing.
std::optional<fetch_error> distrust(const struct stat& found, mode_t forbidden) {
    if (!S_ISREG(found.st_mode)) return fetch_error{"it is no regular file"};
    if (found.st_uid != ::geteuid()) return fetch_error{"it belongs to another user"};
    if ((found.st_mode & forbidden) != 0) return fetch_error{"its mode lets others in"};
    return std::nullopt;
}

std::optional<std::string> read_all(const unique_fd& file, off_t size) {
    std::string text(static_cast<std::size_t>(size), '\0');
    std::size_t have = 0;
    while (have < text.size()) {
        const auto more = ::read(file.get(), text.data() + have, text.size() - have);
        if (more < 0 && errno == EINTR) continue;
        if (more <= 0) return std::nullopt;
        have += static_cast<std::size_t>(more);
    }
    return text;
}

bool write_all(const unique_fd& file, std::string_view text) {
    while (!text.empty()) {
        const auto written = ::write(file.get(), text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
}

std::string wrap(std::string_view url, std::string_view jwks) {
    const json::value document = json::parse({jwks.data(), jwks.size()});
    return json::serialize(
        json::object{{"url", json::string_view{url.data(), url.size()}}, {"jwks", document}});
}

boost::system::result<key_share::document, fetch_error> unwrap(std::string_view text, std::string_view url,
                                                               milliseconds age) {
    boost::system::error_code failure;
    const json::value all = json::parse({text.data(), text.size()}, failure);
    const json::object* const object = failure ? nullptr : all.if_object();
    const json::value* const from = object == nullptr ? nullptr : object->if_contains("url");
    const json::value* const jwks = object == nullptr ? nullptr : object->if_contains("jwks");
    if (from == nullptr || jwks == nullptr) return fetch_error{"it is none of ours"};
    if (*from != json::string_view{url.data(), url.size()})
        return fetch_error{"its keys are of another JWKS_URL"};
    return key_share::document{json::serialize(*jwks), age};
}

// Locks of an open file description rather than flock(): they can be looked at without being taken.
struct flock whole_file() {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

bool try_lock(const unique_fd& file) {
    struct flock lock = whole_file();
    return ::fcntl(file.get(), F_OFD_SETLK, &lock) == 0;
}

bool is_locked(const unique_fd& file) {
    struct flock lock = whole_file();
    return ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// When the last attempt was. An empty file has seen none.
std::optional<std::timespec> attempt_in(const struct stat& lock) {
    if (lock.st_size == 0) return std::nullopt;
    return lock.st_mtim;
}

std::optional<std::timespec> attempt_in(const unique_fd& lock) {
    struct stat found {};
    return ::fstat(lock.get(), &found) == 0 ? attempt_in(found) : std::nullopt;
}

bool same(const std::optional<std::timespec>& a, const std::optional<std::timespec>& b) {
    return a && b ? same(*a, *b) : a.has_value() == b.has_value();
}

std::optional<std::timespec> mark_attempt(const unique_fd& lock) {
    const std::string pid = std::to_string(::getpid()) + '\n';
    // Cut to its length after it is written, so that it is never empty in between.
    const bool done = ::pwrite(lock.get(), pid.data(), pid.size(), 0) == static_cast<ssize_t>(pid.size()) &&
                      ::ftruncate(lock.get(), static_cast<off_t>(pid.size())) == 0;
    return done ? attempt_in(lock) : std::nullopt;
}

// Complete with its time before it has its name, so that a reader sees the one file or the other whole.
void put_in_place(const std::string& path, std::string_view text, const std::timespec& fetched) {
    const std::string before_its_time = path + ".new";
    ::unlink(before_its_time.c_str());
    const unique_fd made{
        ::open(before_its_time.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)};
    const std::timespec times[] = {fetched, fetched};
    if (made && write_all(made, text) && ::futimens(made.get(), times) == 0 &&
        ::rename(before_its_time.c_str(), path.c_str()) == 0)
        return;
    const int failure = errno;
    ::unlink(before_its_time.c_str());
    throw std::system_error{failure, std::generic_category()};
}

} // namespace

class key_file::fetching final : public turn {
  public:
    fetching(key_file& of, unique_fd lock, std::timespec began)
        : of_{of}, lock_{std::move(lock)}, began_{began} {}

    void publish(std::string_view jwks) override {
        if (!is_still_mine()) return;
        try {
            put_in_place(of_.path_, wrap(of_.url_, jwks), began_);
            struct stat there {};
            if (::lstat(of_.path_.c_str(), &there) == 0) of_.seen_ = version{there.st_ino, there.st_ctim};
        } catch (const std::exception& failure) {
            of_.complain("keys_not_shared", failure.what());
        }
    }

  private:
    // Not where this process was frozen meanwhile and another one has fetched for itself.
    [[nodiscard]] bool is_still_mine() const { return same(attempt_in(lock_), began_); }

    key_file& of_;
    const unique_fd lock_;
    const std::timespec began_;
};

key_file::key_file(std::string path, std::string url, milliseconds longest_fetch)
    : path_{std::move(path)}, lock_path_{path_ + ".lock"}, url_{std::move(url)}, longest_fetch_{
                                                                                     longest_fetch} {}

bool key_file::is_new(const version& there) const {
    return !seen_ || seen_->inode != there.inode || !same(seen_->changed, there.changed);
}

void key_file::complain(std::string_view event, std::string_view why) {
    if (const auto suppressed = complaints_.admit(std::chrono::steady_clock::now()))
        log::warn(event, {{"file", path_}, {"reason", why}, {"suppressed", *suppressed}});
}

std::optional<key_share::document> key_file::news() {
    struct stat there {};
    if (::lstat(path_.c_str(), &there) != 0 || !is_new({there.st_ino, there.st_ctim})) return std::nullopt;
    // Noted before it is known to be of use: one that is refused is told of once.
    seen_ = version{there.st_ino, there.st_ctim};
    auto found = read_document();
    if (found) return std::move(*found);
    log::warn("keys_file_refused", {{"file", path_}, {"reason", found.error().reason}});
    return std::nullopt;
}

boost::system::result<key_share::document, fetch_error> key_file::read_document() const {
    const unique_fd file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    struct stat found {};
    if (!file || ::fstat(file.get(), &found) != 0) return error_of(errno);
    if (auto why = distrust(found, written_by_others)) return std::move(*why);
    const auto age = age_of(found.st_mtim);
    if (!age) return fetch_error{"its time is yet to come"};
    if (*age > believed_for) return fetch_error{"it is more than a day old"};
    if (found.st_size > most_bytes) return fetch_error{"it is too large"};
    const auto text = read_all(file, found.st_size);
    if (!text) return fetch_error{"it cannot be read"};
    return unwrap(*text, url_, *age);
}

std::optional<milliseconds> key_file::last_attempt() {
    struct stat lock {};
    const bool usable = ::lstat(lock_path_.c_str(), &lock) == 0 && !distrust(lock, opened_by_others);
    attempt_seen_ = usable ? attempt_in(lock) : std::nullopt;
    return attempt_seen_ ? age_of(*attempt_seen_) : std::nullopt;
}

std::unique_ptr<key_share::turn> key_file::take_turn() {
    auto lock = open_lock();
    if (!lock) {
        complain("keys_not_shared", lock.error().reason);
        return no_share()->take_turn();
    }
    const bool locked = try_lock(*lock);
    if (!locked && !is_frozen(*lock)) return nullptr;
    if (!same(attempt_in(*lock), attempt_seen_)) return nullptr;
    const auto began = mark_attempt(*lock);
    if (!began) complain("keys_not_shared", error_of(errno).reason);
    if (!began || !locked) return no_share()->take_turn();
    return std::make_unique<fetching>(*this, std::move(*lock), *began);
}

void key_file::await_turn() const {
    const unique_fd lock{::open(lock_path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    while (lock && is_locked(lock) && !is_frozen(lock)) std::this_thread::sleep_for(between_looks);
}

boost::system::result<unique_fd, fetch_error> key_file::open_lock() const {
    constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    unique_fd lock{::open(lock_path_.c_str(), flags, mode)};
    struct stat found {};
    if (!lock || ::fstat(lock.get(), &found) != 0) return error_of(errno);
    if (auto why = distrust(found, opened_by_others)) return std::move(*why);
    return lock;
}

// Looked at twice, for who has just taken the lock is about to mark its attempt.
bool key_file::is_frozen(const unique_fd& lock) const {
    const auto overdue = [&] {
        const auto began = attempt_in(lock);
        const auto age = began ? age_of(*began) : std::nullopt;
        return !age || *age > longest_fetch_;
    };
    if (!overdue()) return false;
    std::this_thread::sleep_for(time_to_mark);
    return overdue();
}

} // namespace mana::gate
