#include "process.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

namespace ticketing {

std::size_t raise_descriptor_limit(const std::string& program, std::size_t connections, std::size_t others) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return connections;
  const rlim_t wanted = connections + others;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur >= wanted) return connections;
  const std::size_t possible = limit.rlim_cur > 2 * others ? limit.rlim_cur - others : limit.rlim_cur / 2;
  std::fprintf(stderr, "%s: the limit of open files allows %zu connections, not %zu\n", program.c_str(), possible,
               connections);
  return possible;
}

shutdown_sequence::shutdown_sequence(boost::asio::io_context& io, std::string program, std::chrono::milliseconds drain,
                                     server& s, hooks h)
    : signals_(io.get_executor(), SIGTERM, SIGINT),
      timer_(io.get_executor()),
      program_(std::move(program)),
      drain_(drain),
      server_(s),
      hooks_(std::move(h)) {
  signals_.async_wait([this](const boost::system::error_code& ec, int) {
    if (!ec) begin();
  });
}

void shutdown_sequence::begin() {
  std::fprintf(stderr, "%s: shutting down, %lld ms for what is running\n", program_.c_str(),
               static_cast<long long>(drain_.count()));
  server_.stop([this] { finish(); });
  timer_.expires_after(drain_);
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) abort();
  });
  signals_.async_wait([this](const boost::system::error_code& ec, int) {
    if (!ec) abort();
  });
}

void shutdown_sequence::finish() {
  signals_.cancel();
  timer_.cancel();
  hooks_.end();
}

void shutdown_sequence::abort() {
  if (std::exchange(aborting_, true)) return;
  std::fprintf(stderr, "%s: abandoning what is still running\n", program_.c_str());
  hooks_.abandon();
  // Those who wait are told so, and the answers need a moment.
  timer_.expires_after(std::chrono::milliseconds{50});
  timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) server_.abort();
  });
}

}  // namespace ticketing
