// weir_pool_renewal: what it costs those who ask for a connection that old ones are replaced. Runs a pool under steady load
// with a maximum lifetime and one without, in turns, with the same arrivals and holds.
//
// Exit: 0 within the bound, 1 beyond it, 2 bad arguments, 98 the run says nothing: arrivals came late, or nothing was
// renewed.
#include "options.hpp"

#include <weir/asio/pool.hpp>
#include <weir/core/random.hpp>
#include <weir/stats/histogram.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <sys/prctl.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iterator>
#include <limits>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using weir::duration;
using weir::time_point;
using weir_load::in_us;

struct settings {
  double seconds = 60, lifetime = 10, rounds = 2;
  double connections = 10, connect_ms = 5, hold_us = 1500, load = 0.7, seed = 1;
  std::vector<weir_load::number_option> options{
      {"--seconds", seconds, 1, 3600, "of load, each time"},
      {"--lifetime", lifetime, 0.1, 3600, "seconds, at most, of a connection where they are renewed"},
      {"--rounds", rounds, 1, 100, "times with renewal and without"},
      {"--connections", connections, 1, 1000, "of the pool"},
      {"--connect-ms", connect_ms, 0, 1000, "that it takes to connect"},
      {"--hold-us", hold_us, 10, 1'000'000, "that a connection is held, in the mean; from two thirds to four thirds"},
      {"--load", load, 0.01, 0.95, "share of the connections that are in use in the mean"},
      {"--seed", seed, 0, 1e9, "of arrivals and holds"},
  };
};

awaitable<void> sleep(duration d) {
  asio::steady_timer timer{co_await asio::this_coro::executor, d};
  co_await timer.async_wait(use_awaitable);
}

struct stub {
  struct connection {};
  duration takes;
  awaitable<connection> connect(weir::connect_context) {
    co_await sleep(takes);
    co_return connection{};
  }
};

/// Notes when a connection is closed for its age.
struct retirements {
  std::vector<time_point>* at;
  void on(const weir::pool_event& e) {
    if (e.kind == weir::pool_event_kind::closed && e.reason == weir::close_reason::lifetime) at->push_back(e.at);
  }
};

struct result {
  weir::histogram waits;  // from the intended arrival to the connection
  weir::histogram late;   // from the intended arrival to asking
  std::uint64_t refused = 0, opened = 0, retired = 0;
  duration closest = duration::max();  // two retirements
  double utilisation = 0;              // of the last one

  void add(const result& other) {
    waits.merge(other.waits);
    late.merge(other.late);
    refused += other.refused;
    opened += other.opened;
    retired += other.retired;
    closest = std::min(closest, other.closest);
    utilisation = other.utilisation;
  }
};

/// One pool under load, on one thread.
class run {
 public:
  run(const settings& s, bool renewed, double round)
      : settings_(s),
        random_(static_cast<std::uint64_t>(s.seed), std::to_string(round)),
        pool_(context_.get_executor(), stub{weir_load::seconds(s.connect_ms / 1e3)}, config(s, renewed), {&retired_at_}) {}

  result finish() {
    asio::co_spawn(context_, arrive(), [this](const std::exception_ptr& problem) {
      if (problem) std::rethrow_exception(problem);
      arrived_ = true;
      stop_if_done();
    });
    context_.run();
    const auto shown = pool_.snapshot();
    result_.opened = shown.opened;
    result_.utilisation = shown.in_use_seconds / (settings_.connections * settings_.seconds);
    result_.retired = retired_at_.size();
    for (std::size_t i = 1; i < retired_at_.size(); ++i) {
      result_.closest = std::min(result_.closest, retired_at_[i] - retired_at_[i - 1]);
    }
    return result_;
  }

 private:
  using pool_type = weir::basic_pool<stub, asio::any_io_executor, weir::default_clock, retirements>;

  static weir::pool_config config(const settings& s, bool renewed) {
    const auto size = static_cast<std::uint32_t>(s.connections);
    return {.name = "renewal",
            .max_size = size,
            .min_size = size,
            .max_connecting = size,
            .max_lifetime = renewed ? weir_load::seconds(s.lifetime) : duration::max(),
            .seed = static_cast<std::uint64_t>(s.seed)};
  }

  awaitable<void> arrive() {
    while (pool_.snapshot().now.idle < pool_.snapshot().now.max) co_await sleep(std::chrono::milliseconds{1});
    const duration hold = weir_load::seconds(settings_.hold_us / 1e6);
    const double rate = settings_.connections * settings_.load / (settings_.hold_us / 1e6);
    asio::steady_timer timer{co_await asio::this_coro::executor};
    const time_point begin = pool_.now();
    const time_point end = begin + weir_load::seconds(settings_.seconds);
    time_point next = begin;
    // None is put off because others are: all that are due begin now.
    while (next < end) {
      if (next > pool_.now()) {
        timer.expires_at(next);
        co_await timer.async_wait(use_awaitable);
      }
      for (const time_point now = pool_.now(); next <= now && next < end;
           next += weir_load::seconds(random_.exponential(1 / rate))) {
        ++users_;
        asio::co_spawn(context_, use(next, random_.between(hold * 2 / 3, hold * 4 / 3)), asio::detached);
      }
    }
  }
  awaitable<void> use(time_point intended, duration hold) {
    result_.late.record(pool_.now() - intended);
    {
      auto lease = co_await pool_.co_acquire();
      if (lease) {
        result_.waits.record(pool_.now() - intended);
        co_await sleep(hold);
      } else {
        ++result_.refused;
      }
    }
    --users_;
    stop_if_done();
  }
  void stop_if_done() {
    if (arrived_ && users_ == 0) context_.stop();
  }

  const settings& settings_;
  weir::random_stream random_;
  result result_;
  std::vector<time_point> retired_at_;
  std::uint64_t users_ = 0;
  bool arrived_ = false;
  asio::io_context context_{1};
  pool_type pool_;
};

void print(const char* what, double renewed, double plain, const char* unit) {
  std::printf("%-24s %12.1f %12.1f  %s\n", what, renewed, plain, unit);
}

int judge(const settings& s, const result& renewed, const result& plain) {
  const auto of = [&](const weir::histogram result::* h, double q) {
    return std::pair{in_us((renewed.*h).quantile(q)), in_us((plain.*h).quantile(q))};
  };
  const auto row = [&](const char* what, const weir::histogram result::* h, double q) {
    const auto [a, b] = of(h, q);
    print(what, a, b, "us");
  };
  std::printf("%-24s %12s %12s\n", "", "renewed", "not renewed");
  print("calls", static_cast<double>(renewed.waits.count()), static_cast<double>(plain.waits.count()), "");
  row("acquire p50", &result::waits, 0.5);
  row("acquire p99", &result::waits, 0.99);
  row("acquire p99.9", &result::waits, 0.999);
  row("acquire max", &result::waits, 1);
  row("arrivals late p50", &result::late, 0.5);
  row("arrivals late p99", &result::late, 0.99);
  row("arrivals late p99.9", &result::late, 0.999);
  print("in use", 100 * renewed.utilisation, 100 * plain.utilisation, "%");
  print("refused", static_cast<double>(renewed.refused), static_cast<double>(plain.refused), "");
  print("opened", static_cast<double>(renewed.opened), static_cast<double>(plain.opened), "");
  print("retired", static_cast<double>(renewed.retired), static_cast<double>(plain.retired), "");
  const double spacing = 1e6 * s.lifetime / (10 * s.connections);
  std::printf("two retirements are at least %.1f ms apart; configured: %.1f ms\n", in_us(renewed.closest) / 1e3,
              spacing / 1e3);

  const auto [mine, theirs] = of(&result::waits, 0.99);
  const double late = in_us(std::max(renewed.late.quantile(0.99), plain.late.quantile(0.99)));
  if (late > 200) {
    std::printf("NOT VALID: one of a hundred arrivals was more than 200 us late\n");
    return 98;
  }
  if (renewed.retired < 2) {
    std::printf("NOT VALID: nothing was renewed; --seconds must be above --lifetime\n");
    return 98;
  }
  const double bound = 1.2 * theirs + 200;
  const bool good = mine <= bound && in_us(renewed.closest) >= spacing && renewed.refused == 0 && plain.refused == 0;
  std::printf("p99 %.1f us, bound 1.2 x %.1f + 200 = %.1f us: %s\n", mine, theirs, bound, good ? "ok" : "NOT MET");
  return good ? 0 : 1;
}

int measure(const settings& s) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  // A process of one thread leaves out what atomic operations cost.
  std::jthread second{[](const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds{100});
  }};
  weir_load::print_load();
  result renewed, plain;
  for (double round = 0; round < s.rounds; ++round) {
    for (const bool renews : {true, false}) {
      std::fprintf(stderr, "round %g of %g, %s: %g s\n", round + 1, s.rounds, renews ? "renewed" : "not renewed",
                   s.seconds);
      const result r = run{s, renews, round}.finish();
      std::printf("round %g, %-12s p99 %8.1f us, p99.9 %8.1f us\n", round + 1, renews ? "renewed" : "not renewed",
                  in_us(r.waits.quantile(0.99)), in_us(r.waits.quantile(0.999)));
      std::fflush(stdout);
      (renews ? renewed : plain).add(r);
    }
  }
  return judge(s, renewed, plain);
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  return weir_load::run_with(argc, argv, s.options, "weir_pool_renewal", [&] { return measure(s); });
}
