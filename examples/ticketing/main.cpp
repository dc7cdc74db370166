/// \file
/// The demo server: the order service of the README, with `--protection off` as it was reported, with `on` behind weir.

#include "options.hpp"
#include "password.hpp"
#include "process.hpp"
#include "protection.hpp"
#include "server.hpp"
#include "services.hpp"
#include "store.hpp"
#include "worker_pool.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <utility>

namespace {

using namespace ticketing;

/// What protection needs to know of this machine: how long a hash takes when all workers are busy.
protection_options measured_protection(const options& o) {
  const double rate = measure_hash_rate(o.workers, o.cost, std::chrono::milliseconds{300});
  const auto hash_time = std::chrono::duration_cast<weir::duration>(std::chrono::duration<double>(o.workers / rate));
  const hash_budget budget = budget_for(o.workers, o.slo, hash_time);
  std::fprintf(stderr, "ticketing: a hash takes %.1f ms; within %lld ms, %u may wait\n", 1e3 * o.workers / rate,
               static_cast<long long>(o.slo.count()), budget.capacity);
  return {.workers = o.workers,
          .slo = o.slo,
          .hash_time = hash_time,
          .date_slo = o.date_slo,
          .date_query = o.date_query,
          .date_limit = o.date_limit,
          .seed = std::random_device{}()};
}

/// Without protection a pool as the reports had it: who asks waits, however many do, for as long as it takes.
std::unique_ptr<store> database_of(const options& o, executor_type executor, worker_pool& worker) {
  const weir::pool_config pool{.name = "database",
                               .max_size = o.pool_size,
                               .min_size = 1,
                               .acquire_timeout = o.acquire_timeout,
                               .max_waiters = o.protection ? 256 : 100'000,
                               .predict = o.protection};
  if (o.postgres.empty()) return sqlite_store(o.sqlite, pool, executor, worker);
  return postgres_store(o.postgres, pool, executor);
}

/// Runs `io` until the tables are there. Errors: store_error.
void prepare(boost::asio::io_context& io, store& database, std::int64_t stock) {
  bool done = false;
  std::exception_ptr problem;
  boost::asio::co_spawn(io, database.prepare(stock), [&](std::exception_ptr e) {
    problem = std::move(e);
    done = true;
  });
  while (!done) io.run_one();
  if (problem) std::rethrow_exception(problem);
}

int serve(const options& o) {
  service_counters counters;
  boost::asio::io_context io{1};
  std::optional<protection> guard;
  if (o.protection) guard.emplace(measured_protection(o), io.get_executor());
  worker_pool hash_workers{o.workers, io.get_executor()};
  worker_pool store_worker{1, io.get_executor()};  // SQLite writes one at a time
  const std::unique_ptr<store> database = database_of(o, io.get_executor(), store_worker);
  prepare(io, *database, o.stock);
  services service{o, {hash_workers, store_worker, *database, counters, io.get_executor(), guard ? &*guard : nullptr}};

  const std::size_t other_files = 64 + 3 * std::size_t{o.pool_size};  // SQLite has its file, the log and the index
  const server_options http{.address = o.address,
                            .port = o.port,
                            .max_connections = raise_descriptor_limit("ticketing", o.max_connections, other_files),
                            .request_timeout = o.request_timeout,
                            .idle_timeout = o.idle_timeout,
                            .watch_clients = o.protection};
  std::optional<server> listening;
  try {
    listening.emplace(io, http, counters.connections, [&service](const request& r) { return service.handle(r); });
  } catch (const boost::system::system_error& e) {
    std::fprintf(stderr, "ticketing: cannot listen on %s:%u: %s\n", o.address.c_str(), o.port, e.code().message().c_str());
    return 1;
  }
  const shutdown_sequence shutdown{io,
                                   "ticketing",
                                   o.drain,
                                   *listening,
                                   {.abandon =
                                        [&] {
                                          if (guard) guard->close();
                                          database->close();
                                          hash_workers.abandon();
                                          store_worker.abandon();
                                        },
                                    .end =
                                        [&] {
                                          database->end();
                                          service.end();
                                        }}};
  std::printf("listening on %s:%u\n", o.address.c_str(), listening->port());
  std::fflush(stdout);

  io.run();
  std::printf("%s\n", service.counters_json().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (const int* code = std::get_if<int>(&parsed)) return *code;
  const auto& o = std::get<options>(parsed);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    if (o.measure_hash_rate.count() > 0) {
      std::printf("%.2f\n", measure_hash_rate(o.workers, o.cost, o.measure_hash_rate));
      return 0;
    }
    return serve(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ticketing: %s\n", e.what());
    return 1;
  }
}
