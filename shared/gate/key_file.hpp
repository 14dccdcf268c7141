// The share of the keys as a file beside the sockets (KEYS_FILE).
//
// The file holds the last good document and the URL that it came from; its time of modification is that of
// the fetch. Beside it, FILE.lock is locked by who fetches, holds that process's pid, and has the time of the
// last attempt as its own. A process that dies frees the lock. One that is frozen while it fetches keeps it:
// the others then fetch each for itself, still at the pace of all.
//
// Who may write these files decides who may enter. So both are of mode 0600, and one that belongs to another
// user than this process's, or that others may write (the lock: may open), is not used. All processes of the
// host must be of one user.
#pragma once

#include "shared/gate/http_fetch.hpp"
#include "shared/gate/key_share.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/unique_fd.hpp"

#include <boost/system/result.hpp>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace mana::gate {

// By the wall clock, which all processes of the host have in common and which goes on through a reboot. A
// time that lies ahead of it says nothing.
class key_file final : public key_share {
  public:
    // A document that was fetched longer ago is not believed: a key may have been withdrawn since, and
    // whoever stole it could wait for JWKS_URL to be down. Processes go on with what they hold already.
    static constexpr std::chrono::hours believed_for{24};

    // `url`: JWKS_URL. A document that came from another one is not used. `longest_fetch`: after which a
    // process that still has the turn is taken to be frozen. Makes nothing yet.
    key_file(std::string path, std::string url,
             std::chrono::milliseconds longest_fetch = std::chrono::milliseconds{2500});

    [[nodiscard]] std::optional<document> news() override;
    [[nodiscard]] std::optional<std::chrono::milliseconds> last_attempt() override;
    [[nodiscard]] std::unique_ptr<turn> take_turn() override;
    void await_turn() const override;

  private:
    // Tells one file from the next that is put in its place, and from itself with other owner or mode.
    struct version {
        ino_t inode = 0;
        std::timespec changed{};
    };
    class fetching;

    [[nodiscard]] bool is_new(const version& there) const;
    [[nodiscard]] boost::system::result<document, fetch_error> read_document() const;
    [[nodiscard]] boost::system::result<runtime::unique_fd, fetch_error> open_lock() const;
    [[nodiscard]] bool is_frozen(const runtime::unique_fd& lock) const;
    void complain(std::string_view event, std::string_view reason);

    const std::string path_;
    const std::string lock_path_;
    const std::string url_;
    const std::chrono::milliseconds longest_fetch_;
    std::optional<version> seen_; // read, refused or published here
    std::optional<std::timespec> attempt_seen_;
    runtime::log::limiter complaints_{std::chrono::minutes{1}};
};

} // namespace mana::gate
