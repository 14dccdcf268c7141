// Loaded into workers and hub before their own libraries (LD_PRELOAD), so that the checker can kill them at a
// chosen point of their work and they need no hook for it: functions of libpq, hiredis and libfcgi pass
// through here on their way, are passed on unchanged, and tell how far the work has come.
//
// It knows a push that changes something by the names of its prepared statements (push_transaction.cpp,
// postgres.cpp), and the hub's sweep by those of push_log.cpp: with PREPARED_STATEMENTS=off no point is ever
// reached.
#include "tests/checker/parts/crash_word.hpp"

#include <csignal>
#include <cstdlib>
#include <dlfcn.h>
#include <fcgiapp.h>
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <string_view>

namespace {

using mana::checker::crash_point;

void die_if_armed(crash_point point) {
    // Nobody changes the environment. NOLINTNEXTLINE(concurrency-mt-unsafe)
    static const char* const file = std::getenv("MANA_CHECKER_CRASH_POINT");
    if (file == nullptr) return;
    static mana::checker::crash_word armed{file};
    if (armed.take(point)) ::raise(SIGKILL);
}

/// How far the work has come.
class progress {
  public:
    void is_to_be_sent(PGconn* on, std::string_view statement) {
        if (statement.starts_with("write_log")) go_on(stage::rows_written, on);
        if (statement == "begin_publishing") go_on(stage::sweeping, on);
        if (statement == "rollback") stage_ = stage::other;
        if (statement == "commit" && stage_ == stage::rows_written) {
            ::PQflush(on); // PostgreSQL gets to work on the rows, and only then hears that nobody is there
            die_if_armed(crash_point::before_commit);
            stage_ = stage::commit_queued;
        }
        if (statement == "end_publishing" && stage_ == stage::swept)
            die_if_armed(crash_point::hub_after_publish);
    }

    void is_synced(const PGconn* on) {
        if (on == on_ && stage_ == stage::commit_queued) stage_ = stage::commit_sent;
    }

    /// Asked for the first time only when all is sent.
    void waits_for_result(const PGconn* on) const {
        if (on == on_ && stage_ == stage::commit_sent) die_if_armed(crash_point::in_doubt);
    }

    void has_read(const PGconn* on, PGresult* result) {
        if (on != on_ || stage_ != stage::commit_sent || result == nullptr) return;
        const auto status = ::PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR || status == PGRES_PIPELINE_ABORTED) stage_ = stage::other;
        if (status != PGRES_COMMAND_OK || std::string_view{::PQcmdStatus(result)} != "COMMIT") return;
        die_if_armed(crash_point::after_commit);
        stage_ = stage::committed;
    }

    void is_lost(const PGconn* on) {
        if (on == on_) stage_ = stage::other;
    }

    /// All commands are with the kernel. What Redis says to them, a worker reads after its answer.
    void redis_was_told() {
        if (stage_ == stage::committed) stage_ = stage::published;
    }

    /// With a list, to what the hub asks before it tells.
    void redis_replied(const void* reply) {
        if (reply == nullptr) return;
        const int type = static_cast<const redisReply*>(reply)->type;
        if (type == REDIS_REPLY_ERROR || type == REDIS_REPLY_ARRAY) return;
        if (stage_ == stage::sweeping) stage_ = stage::swept;
    }

    void answers(std::string_view part) {
        if (stage_ == stage::published) die_if_armed(crash_point::after_publish);
        stage_ = stage::other;
        parts_written_ = part.starts_with("Status: ") ? 0 : parts_written_ + 1;
        if (parts_written_ == parts_when_some_are_sent) die_if_armed(crash_point::in_answer);
    }

  private:
    enum class stage {
        other,
        rows_written,
        commit_queued,
        commit_sent,
        committed,
        published,
        sweeping, ///< the hub's
        swept,
    };

    /// libfcgi sends what it holds when that is 8 kB, and fastcgi_request.cpp gives it as much each time: the
    /// head and the first part of a body wait for the second one.
    static constexpr int parts_when_some_are_sent = 3;

    void go_on(stage to, const PGconn* on) {
        stage_ = to;
        on_ = on;
    }

    stage stage_ = stage::other;
    const PGconn* on_ = nullptr; ///< it may be gone
    int parts_written_ = 0;      ///< of the answer's body
};

progress& here() {
    static thread_local progress made;
    return made;
}

/// The function of that name that would have been called.
template<class Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

} // namespace

extern "C" {

int PQsendQueryPrepared(PGconn* conn, const char* name, int count, const char* const* values,
                        const int* lengths, const int* formats, int result_format) {
    static auto* const real = next<decltype(PQsendQueryPrepared)>("PQsendQueryPrepared");
    here().is_to_be_sent(conn, name);
    return real(conn, name, count, values, lengths, formats, result_format);
}

int PQpipelineSync(PGconn* conn) {
    static auto* const real = next<decltype(PQpipelineSync)>("PQpipelineSync");
    const int done = real(conn);
    if (done == 1) here().is_synced(conn);
    return done;
}

int PQisBusy(PGconn* conn) {
    static auto* const real = next<decltype(PQisBusy)>("PQisBusy");
    here().waits_for_result(conn);
    return real(conn);
}

PGresult* PQgetResult(PGconn* conn) {
    static auto* const real = next<decltype(PQgetResult)>("PQgetResult");
    PGresult* const result = real(conn);
    here().has_read(conn, result);
    return result;
}

void PQfinish(PGconn* conn) {
    static auto* const real = next<decltype(PQfinish)>("PQfinish");
    here().is_lost(conn);
    real(conn);
}

int redisBufferWrite(redisContext* context, int* all) {
    static auto* const real = next<decltype(redisBufferWrite)>("redisBufferWrite");
    const int done = real(context, all);
    if (done == REDIS_OK && *all == 1) here().redis_was_told();
    return done;
}

int redisGetReplyFromReader(redisContext* context, void** reply) {
    static auto* const real = next<decltype(redisGetReplyFromReader)>("redisGetReplyFromReader");
    const int done = real(context, reply);
    if (done == REDIS_OK) here().redis_replied(*reply);
    return done;
}

int FCGX_PutStr(const char* text, int size, FCGX_Stream* stream) {
    static auto* const real = next<decltype(FCGX_PutStr)>("FCGX_PutStr");
    here().answers({text, static_cast<std::size_t>(size)});
    return real(text, size, stream);
}
}
