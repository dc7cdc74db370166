#pragma once
/// \file
/// The fifth report's service: register (bcrypt), charge points, order. What is heavy runs elsewhere than on the I/O
/// thread.

#include "database_access.hpp"
#include "message.hpp"
#include "protection.hpp"
#include "router.hpp"
#include "worker_pool.hpp"

#include <string>
#include <string_view>
#include <variant>

namespace ticketing {

/// Not thread-safe: belongs to the I/O thread. All references must outlive it.
class order_service {
 public:
  /// `guard`: nullptr without protection.
  order_service(unsigned bcrypt_cost, worker_pool& hash_workers, database_access& database, protection* guard)
      : cost_(bcrypt_cost), hash_workers_(hash_workers), database_(database), guard_(guard) {}

  /// This must outlive the router's requests.
  void add_to(router&);

 private:
  task<response> add_user(const request&, std::string_view);
  task<response> charge(const request&, std::string_view);
  task<response> order(const request&, std::string_view);
  /// Hashes on a worker; or the answer, if that is not to be.
  task<std::variant<std::string, response>> hash(const request&, std::string password);

  unsigned cost_;
  worker_pool& hash_workers_;
  database_access& database_;
  protection* guard_;
};

}  // namespace ticketing
