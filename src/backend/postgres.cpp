#include "postgres_cancel.hpp"

#include <weir/backend/postgres.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <string_view>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libpq-fe.h>

namespace weir::inline v0 {
namespace asio = boost::asio;
using boost::system::error_code;

namespace {

struct finish_connection {
  void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using result_handle = std::unique_ptr<PGresult, detail::clear_postgres_result>;

std::string trimmed(std::string_view text) { return std::string{text.substr(0, text.find_last_not_of('\n') + 1)}; }

std::string_view field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

/// Waits until `socket` is ready to read, or also to write; false: the deadline came first.
asio::awaitable<bool> ready(asio::posix::stream_descriptor& socket, bool read, bool write, time_point deadline) {
  struct wake {
    asio::steady_timer timer;
    bool ready = false;
  };
  const auto executor = co_await asio::this_coro::executor;
  const auto either = std::make_shared<wake>(wake{asio::steady_timer{executor, deadline}});
  const auto on_ready = [either](error_code error) {
    if (error) return;
    either->ready = true;
    either->timer.cancel();
  };
  using asio::posix::descriptor_base;
  if (read) socket.async_wait(descriptor_base::wait_read, asio::bind_executor(executor, on_ready));
  if (write) socket.async_wait(descriptor_base::wait_write, asio::bind_executor(executor, on_ready));
  error_code error;
  co_await either->timer.async_wait(asio::redirect_error(asio::use_awaitable, error));
  socket.cancel();
  if (error && !either->ready) throw boost::system::system_error(error);
  co_return either->ready;
}

/// libpq would take the text up to its first NUL byte.
void check_text(const postgres_statement& statement) {
  const auto has_nul = [](const postgres_parameter& text) { return text && text->find('\0') != std::string::npos; };
  if (has_nul(statement.sql) || std::ranges::any_of(statement.parameters, has_nul)) {
    throw std::invalid_argument("PostgreSQL has no text with NUL bytes");
  }
}

/// Whether a statement leaves the session as it was, by the tag that the server answers it with.
bool leaves_session(std::string_view tag) {
  constexpr std::string_view known[] = {"SELECT", "INSERT",   "UPDATE",    "DELETE",  "MERGE", "BEGIN",
                                        "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", ""};
  return std::ranges::find(known, tag.substr(0, tag.find(' '))) != std::end(known);
}

}  // namespace

struct postgres_connection::state {
  explicit state(const asio::any_io_executor& executor) : socket(executor) {}
  ~state() {
    if (socket.is_open()) socket.release();  // libpq's, who closes it
    if (for_abort >= 0) ::close(for_abort);
  }
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  std::unique_ptr<PGconn, finish_connection> connection;
  asio::posix::stream_descriptor socket;
  int for_abort = -1;  // the same socket, by a number of our own: libpq may close its one at any time
  std::shared_ptr<detail::postgres_cancel> cancelled;  // a statement was, and its end has not been read
  bool unsent = false;                                 // a part of the statement is still here
  bool broken = false;
  bool changed = false;  // something of the session must be discarded

  [[nodiscard]] PGconn* pq() const noexcept { return connection.get(); }
  [[nodiscard]] postgres_error failure() const { return postgres_error{trimmed(PQerrorMessage(pq()))}; }
  [[nodiscard]] postgres_error lost() {
    broken = true;
    return failure();
  }

  void send(const postgres_statement& statement);
  asio::awaitable<std::vector<result_handle>> exchange();
  asio::awaitable<void> settle();
  void take(const PGresult* result, std::size_t number);
};

namespace detail {

struct postgres_access {
  static postgres_result result(result_handle handle) { return postgres_result{handle.release()}; }

  /// While a statement runs: leaving in any other way than by its end cancels it.
  class running {
   public:
    explicit running(postgres_connection::state& s) noexcept : state_(&s) {}
    ~running() {
      if (state_ == nullptr || state_->broken) return;
      // What the server has only half of must never be run.
      if (!state_->unsent) state_->cancelled = postgres_cancel::start(state_->pq());
      state_->broken = state_->cancelled == nullptr;
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    void ended() noexcept { state_ = nullptr; }

   private:
    postgres_connection::state* state_;
  };
};

}  // namespace detail

using running = detail::postgres_access::running;

void postgres_connection::state::send(const postgres_statement& statement) {
  std::vector<const char*> values;
  values.reserve(statement.parameters.size());
  for (const auto& parameter : statement.parameters) {
    values.push_back(parameter ? parameter->c_str() : nullptr);
  }
  if (PQsendQueryParams(pq(), statement.sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                        nullptr, 0) == 0) {
    throw failure();
  }
}

/// Sends what is to be sent and reads all results, in a pipeline up to its end.
asio::awaitable<std::vector<result_handle>> postgres_connection::state::exchange() {
  unsent = true;
  for (int left = PQflush(pq()); left != 0; left = PQflush(pq())) {
    if (left < 0) throw lost();
    // Reading meanwhile: the server may be unable to take more before it has got rid of its answers.
    co_await ready(socket, true, true, never);
    if (PQconsumeInput(pq()) == 0) throw lost();
  }
  unsent = false;
  std::vector<result_handle> results;
  for (;;) {
    while (PQisBusy(pq()) != 0) {
      co_await socket.async_wait(socket.wait_read, asio::use_awaitable);
      if (PQconsumeInput(pq()) == 0) throw lost();
    }
    result_handle result{PQgetResult(pq())};
    if (PQstatus(pq()) == CONNECTION_BAD) {
      if (!result) throw lost();
      broken = true;  // these are the server's last words, or libpq's
    }
    if (!result) {
      if (PQpipelineStatus(pq()) == PQ_PIPELINE_OFF) co_return results;
      continue;  // between two statements
    }
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_PIPELINE_SYNC) {
      PQexitPipelineMode(pq());
      co_return results;
    }
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      broken = true;
      throw postgres_error("COPY is not supported", "0A000");
    }
    results.push_back(std::move(result));
    if (broken) co_return results;
  }
}

/// Waits for the end of a cancelled statement, and of the request, which would hit the next one.
asio::awaitable<void> postgres_connection::state::settle() {
  if (broken) throw postgres_error("the connection is broken: " + trimmed(PQerrorMessage(pq())));
  if (!cancelled) co_return;
  asio::posix::stream_descriptor made{socket.get_executor(), ::dup(cancelled->made())};
  co_await made.async_wait(made.wait_read, asio::use_awaitable);
  const auto ignored = co_await exchange();
  cancelled.reset();
  changed = true;  // for all we know
}

/// Learns from a result; throws what is wrong.
void postgres_connection::state::take(const PGresult* result, std::size_t number) {
  const auto status = PQresultStatus(result);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
    changed = changed || !leaves_session(PQcmdStatus(const_cast<PGresult*>(result)));
    return;
  }
  const auto severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == "FATAL" || severity == "PANIC") broken = true;
  throw postgres_error(trimmed(PQresultErrorMessage(result)), std::string{field(result, PG_DIAG_SQLSTATE)}, number);
}

postgres_connection::postgres_connection(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
postgres_connection::postgres_connection(postgres_connection&&) noexcept = default;
postgres_connection& postgres_connection::operator=(postgres_connection&&) noexcept = default;
postgres_connection::~postgres_connection() = default;

asio::awaitable<postgres_result> postgres_connection::run(postgres_statement statement) {
  state& s = *state_;
  check_text(statement);
  co_await s.settle();
  s.send(statement);
  running guard{s};
  auto results = co_await s.exchange();
  guard.ended();
  if (results.empty()) throw s.lost();
  s.take(results.front().get(), 0);
  co_return detail::postgres_access::result(std::move(results.front()));
}

asio::awaitable<std::vector<postgres_result>> postgres_connection::pipeline(std::vector<postgres_statement> statements) {
  state& s = *state_;
  std::ranges::for_each(statements, check_text);
  co_await s.settle();
  if (PQenterPipelineMode(s.pq()) == 0) throw s.failure();
  try {
    for (const auto& statement : statements) s.send(statement);
    if (PQpipelineSync(s.pq()) == 0) throw s.failure();
  } catch (...) {
    s.broken = true;  // part of it may be on its way
    throw;
  }
  running guard{s};
  auto results = co_await s.exchange();
  guard.ended();
  std::vector<postgres_result> answers;
  for (auto& result : results) {
    s.take(result.get(), answers.size());
    answers.push_back(detail::postgres_access::result(std::move(result)));
  }
  co_return answers;
}

bool postgres_connection::in_transaction() const noexcept { return PQtransactionStatus(state_->pq()) != PQTRANS_IDLE; }
void postgres_connection::session_changed() noexcept { state_->changed = true; }
bool postgres_connection::is_broken() const noexcept { return state_->broken || PQstatus(state_->pq()) == CONNECTION_BAD; }
int postgres_connection::backend_pid() const noexcept { return PQbackendPID(state_->pq()); }

postgres_backend::postgres_backend(std::vector<std::string> conninfos) : conninfos_(std::move(conninfos)) {
  if (conninfos_.empty()) throw std::invalid_argument("postgres_backend: no conninfo");
}

asio::awaitable<postgres_connection> postgres_backend::connect(connect_context c) {
  auto s = std::make_unique<postgres_connection::state>(co_await asio::this_coro::executor);
  s->connection.reset(PQconnectStart(conninfos_.at(c.endpoint).c_str()));
  if (PQstatus(s->pq()) == CONNECTION_BAD) throw s->failure();
  PQsetNoticeProcessor(s->pq(), [](void*, const char*) {}, nullptr);  // else they go to stderr
  for (auto wants = PGRES_POLLING_WRITING; wants != PGRES_POLLING_OK;) {
    s->socket.assign(PQsocket(s->pq()));
    const bool reading = wants == PGRES_POLLING_READING;
    if (!co_await ready(s->socket, reading, !reading, c.deadline)) {
      throw postgres_error("connection to server: no answer before the deadline");
    }
    s->socket.release();  // the next one may be another
    wants = PQconnectPoll(s->pq());
    if (wants == PGRES_POLLING_FAILED) throw s->failure();
  }
  s->socket.assign(PQsocket(s->pq()));
  s->for_abort = ::fcntl(PQsocket(s->pq()), F_DUPFD_CLOEXEC, 0);
  if (s->for_abort < 0) throw postgres_error("no descriptor for the connection");
  PQsetnonblocking(s->pq(), 1);
  co_return postgres_connection{std::move(s)};
}

asio::awaitable<void> postgres_backend::validate(postgres_connection& c) { co_await c.query(""); }

asio::awaitable<void> postgres_backend::reset(postgres_connection& c) {
  co_await c.state_->settle();
  if (c.in_transaction()) co_await c.query("ROLLBACK");
  if (c.state_->changed) {
    co_await c.query("DISCARD ALL");
    c.state_->changed = false;
  }
}

void postgres_backend::abort(postgres_connection& c) noexcept { ::shutdown(c.state_->for_abort, SHUT_RDWR); }

}  // namespace weir::inline v0
