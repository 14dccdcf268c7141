#include "fcgi_worker/worker.hpp"

#include "fcgi_worker/fastcgi_request.hpp"
#include "fcgi_worker/key_count.hpp"
#include "fcgi_worker/lifetime.hpp"
#include "fcgi_worker/master.hpp"
#include "fcgi_worker/push.hpp"
#include "fcgi_worker/routes.hpp"
#include "fcgi_worker/user_count.hpp"
#include "shared/gate/from_settings.hpp"
#include "shared/gate/user_gate.hpp"
#include "shared/runtime/log.hpp"
#include "shared/runtime/unique_fd.hpp"
#include "shared/store/database.hpp"
#include "shared/store/page_reader.hpp"
#include "shared/store/publisher.hpp"
#include "shared/store/push_transaction.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <exception>
#include <malloc.h>
#include <span>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <system_error>
#include <thread>

namespace mana::fcgi_worker {
namespace {

namespace log = runtime::log;
using runtime::unique_fd;
using namespace std::chrono_literals;

constexpr std::size_t large_body = 1'000'000;
constexpr std::chrono::milliseconds slack{
    1'000}; // above statement_timeout: the server's own limit comes first

unique_fd checked(int fd, const char* what) {
    if (fd < 0) throw std::system_error{errno, std::generic_category(), what};
    return unique_fd{fd};
}

// Waits for a request or for the end, whichever is first. libfcgi's own blocking accept would have to be
// woken by a signal handler, whose signal might as well hit the reading of a request, which libfcgi would
// then drop.
class doorbell {
  public:
    explicit doorbell(int listener) {
        sigset_t stops{};
        sigemptyset(&stops);
        sigaddset(&stops, SIGTERM);
        sigaddset(&stops, SIGINT);
        stop_ = checked(::signalfd(-1, &stops, SFD_NONBLOCK | SFD_CLOEXEC), "signalfd");
        epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
        watch(listener, EPOLLIN | EPOLLEXCLUSIVE); // a request wakes one worker, not all
        watch(stop_.get(), EPOLLIN);
    }

    struct ring {
        bool request = false; // there may be one
        bool stop = false;
    };

    // One that rings for a request may have been rung for it alone, so that it has to look, stop or not.
    [[nodiscard]] ring wait() const {
        std::array<epoll_event, 2> events{};
        constexpr int for_ever = -1;
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), for_ever);
        if (count < 0 && errno != EINTR)
            throw std::system_error{errno, std::generic_category(), "epoll_wait"};
        ring heard;
        for (int i = 0; i < count; ++i) {
            const bool stops = std::span{events}[static_cast<std::size_t>(i)].data.fd == stop_.get();
            (stops ? heard.stop : heard.request) = true;
        }
        return heard;
    }

  private:
    void watch(int fd, std::uint32_t events) {
        epoll_event wanted{};
        wanted.events = events;
        wanted.data.fd = fd;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &wanted) != 0)
            throw std::system_error{errno, std::generic_category(), "epoll_ctl"};
    }

    unique_fd stop_;
    unique_fd epoll_;
};

class worker {
  public:
    worker(const runtime::configuration& settings, const worker_means& means, worker_seat& seat)
        : patience_{patience_of(settings)}, counted_{means.counted}, seat_{seat},
          life_{settings.worker_requests, settings.worker_memory}, users_{gate::gates_of(settings)},
          key_count_{means.keys, counted_}, user_count_{users_, counted_}, doorbell_{means.listener},
          request_{means.listener}, tables_{gate::postgres_of(settings, "mana-sync-worker"),
                                            {store::push_statements(), store::page_statements(),
                                             gate::user_gate::statements()}},
          announcer_{settings.redis_url}, pushes_{users_, tables_, announcer_, counted_,
                                                  gate::terms_of(settings)},
          routes_{means.keys, means.rate, users_,    tables_,
                  pushes_,    counted_,   patience_, static_cast<int>(settings.page_rows)} {}

    // Returns the status to exit with.
    int run() {
        for (;;) {
            seat_.idle();
            const auto heard = doorbell_.wait();
            seat_.busy(std::chrono::steady_clock::now());
            const bool served = heard.request && take_one();
            if (heard.stop) return 0;
            if (const char* const reason = served ? life_.over() : nullptr) {
                log::info("worker_renewed", {{"reason", reason}});
                return master::renewed;
            }
        }
    }

  private:
    // Whether there was one.
    bool take_one() {
        switch (request_.accept()) {
        case accepted::request:
            serve();
            return true;
        case accepted::nobody:
            return false;
        case accepted::out_of_resources:
            log::error("accept_failed", {{"reason", "out of descriptors or memory"}});
            std::this_thread::sleep_for(100ms); // the request is still there and would wake us at once
        }
        return false;
    }

    void serve() {
        const auto began = std::chrono::steady_clock::now();
        seat_.busy(began);
        const auto head = request_.head();
        tables_.work_for(head.request_id);
        std::size_t body_bytes = 0;
        const auto response = routes_.answer(head, [&](deadline until) {
            auto body = request_.read_body(until);
            if (body) body_bytes = body->size();
            return body;
        });
        const auto decided = std::chrono::steady_clock::now();
        seat_.busy(decided);
        const bool sent = request_.answer(response, decided + patience_);
        pushes_.settle(head.request_id);
        const auto took =
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
        counted_.answered(route_of(head.path), response.status, head.waited, took);
        key_count_.carry_over();
        user_count_.carry_over();
        if (body_bytes > large_body)
            ::malloc_trim(0); // what it was taken apart into would stay with the process
        log::debug("request", {{"id", head.request_id},
                               {"method", head.method},
                               {"path", head.path},
                               {"status", response.status},
                               {"sent", sent},
                               {"us", took.count()}});
    }

    const std::chrono::milliseconds patience_;
    metrics::worker_counters& counted_;
    worker_seat& seat_;
    lifetime life_;
    gate::user_gate users_;
    key_count key_count_;
    user_count user_count_;
    doorbell doorbell_;
    fastcgi_request request_;
    store::database tables_;
    store::publisher announcer_;
    push_handler pushes_;
    routes routes_;
};

} // namespace

std::chrono::milliseconds patience_of(const runtime::configuration& settings) {
    return settings.statement_timeout + slack;
}

int run_worker(const runtime::configuration& settings, const worker_means& means, worker_seat& seat) {
    try {
        return worker{settings, means, seat}.run();
    } catch (const std::exception& failed) {
        log::error("worker_failed", {{"reason", failed.what()}});
        return 1;
    }
}

} // namespace mana::fcgi_worker
