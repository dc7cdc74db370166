#pragma once
/// \file
/// What the server does, put together: its services, the queues in front of them, the router that finds them.

#include "concert_service.hpp"
#include "counters.hpp"
#include "database_access.hpp"
#include "flash_service.hpp"
#include "message.hpp"
#include "options.hpp"
#include "order_service.hpp"
#include "pages.hpp"
#include "protection.hpp"
#include "rooms.hpp"
#include "router.hpp"
#include "store.hpp"
#include "token_table.hpp"
#include "worker_pool.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace ticketing {

/// What they work with. All of it must outlive them.
struct surroundings {
  worker_pool& hash_workers;
  worker_pool& store_worker;
  store& database;
  service_counters& counters;
  executor_type executor;
  protection* guard = nullptr;  ///< nullptr without protection
};

/// Not thread-safe: belongs to the I/O thread.
class services {
 public:
  /// Errors: those of rooms.
  services(const options&, const surroundings&);

  /// Never throws for what a client sent.
  [[nodiscard]] task<response> handle(const request& r) { return router_.handle(r); }
  /// The counters as JSON.
  [[nodiscard]] std::string counters_json();
  /// Nothing of this keeps the io_context running any more.
  void end() noexcept;

 private:
  using queues = std::variant<std::unique_ptr<token_tables>, std::unique_ptr<rooms>>;
  static queues queues_of(const options&, executor_type);
  [[nodiscard]] desk& concert_desk() noexcept;
  [[nodiscard]] desk& flash_desk() noexcept;

  task<response> healthz(const request&, std::string_view);
  task<response> counters(const request&, std::string_view);
  task<response> page_of(const request&, std::string_view);

  service_counters& counters_;
  worker_pool& hash_workers_;
  worker_pool& store_worker_;
  store& store_;
  protection* guard_;
  queues queues_;
  std::optional<pages> pages_;  // for people, where there are rooms
  router router_;
  database_access database_;
  order_service orders_;
  concert_service concert_;
  flash_service flash_;
};

}  // namespace ticketing
