#include "postgres_cancel.hpp"

#include <atomic>
#include <csignal>
#include <thread>

#include <sys/eventfd.h>
#include <unistd.h>

namespace weir::inline v0::detail {
namespace {

constexpr int most_threads = 32;
std::atomic<int> threads{0};

}  // namespace

postgres_cancel::postgres_cancel(PGconn* connection)
    : handle_(PQgetCancel(connection)), made_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
postgres_cancel::~postgres_cancel() { ::close(made_); }

std::shared_ptr<postgres_cancel> postgres_cancel::start(PGconn* connection) noexcept {
  if (threads.fetch_add(1) < most_threads) {
    try {
      auto request = std::make_shared<postgres_cancel>(connection);
      std::thread{[request] { request->make(); }}.detach();
      return request;
    } catch (...) {
    }
  }
  threads.fetch_sub(1);
  return nullptr;
}

void postgres_cancel::make() const noexcept {
  sigset_t all;  // the program's handlers are for its own threads, and SIGPIPE for nobody
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  char text[256];
  PQcancel(handle_.get(), text, sizeof text);
  threads.fetch_sub(1);
  eventfd_write(made_, 1);
}

}  // namespace weir::inline v0::detail
