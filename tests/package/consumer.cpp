// What a user's program looks like: built and run against weir as found by find_package, pkg-config and add_subdirectory.
#include <weir/weir.hpp>

#ifdef WITH_OBSERVERS
#include <weir/observe/prometheus_collector.hpp>
#include <weir/observe/spdlog_observer.hpp>
#endif

#ifdef WITH_BACKENDS
#include <weir/backend/postgres.hpp>
#include <weir/backend/redis.hpp>
#include <weir/backend/sqlite.hpp>
#include <weir/room/sqlite_room_store.hpp>
#endif

#ifdef WITH_HTTP
#include <weir/http/room_handler.hpp>
#include <weir/room/hmac_signer.hpp>
#endif

#include <chrono>
#include <cstdio>
#include <string>

int main() {
#ifdef WITH_OBSERVERS
  weir::basic_concurrency_limiter<weir::default_clock, weir::spdlog_observer> limiter{{.name = "workers", .limit = 1},
                                                                                      weir::spdlog_observer{}};
  weir::prometheus_collector collector;
  const auto shown = collector.add([] { return weir::pool_metrics({}, {}, {}); });
  if (collector.text().find("# TYPE pool_waiters gauge\n") == std::string::npos) return 1;
#else
  weir::concurrency_limiter limiter{{.name = "workers", .limit = 1}};
#endif
#ifdef WITH_BACKENDS
  weir::sqlite_backend sqlite{":memory:"};
  auto db = sqlite.connect({});
  if (db.query("SELECT 1").get<int>(0, 0) != 1) return 1;
  const weir::postgres_backend postgres{"host=/nowhere"};
  const weir::redis_script script{"return 1"};
  weir::sqlite_room_store store{{.file = ":memory:"}};
  if (store.load(weir::bank_teller(1), {}).epoch == 0) return 1;
#endif
#ifdef WITH_HTTP
  const weir::hmac_signer keys{1, std::string(32, 'k')};
  weir::waiting_room<weir::hmac_signer> room{weir::bank_teller(1), keys};
  weir::room_handler rooms{weir::room_http_config{}};
  rooms.add(room);
  unsigned status = 0;
  rooms.handle({.method = "POST", .target = "/rooms/room/tickets"},
               [&](const weir::http_response& a) { status = a.status; });
  if (status != 201) return 1;
#endif
  weir::pipeline protect{limiter};
  const auto permit = protect.try_acquire();
  const auto refused = protect.try_acquire();
  if (!permit || refused) return 1;
  std::printf("weir %s: %s\n", WEIR_VERSION_STRING, refused.error().message().c_str());
  return refused.error() == weir::condition::rejected ? 0 : 1;
}
