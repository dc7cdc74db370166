#pragma once
/// \file
/// The third report's service: log in, line up, ask for the place, enter, see what is on sale. Made to stand behind
/// gateways.

#include "desk.hpp"
#include "router.hpp"
#include "stations.hpp"

#include <string_view>

namespace ticketing {

/// Not thread-safe: belongs to the I/O thread. All references must outlive it.
class flash_service {
 public:
  /// `back_end_rate`: of shared_station. With a desk that is a table, everything of the queue is asked there; with one that
  /// is a room, only who enters.
  flash_service(double back_end_rate, desk& d, executor_type executor) : desk_(d), back_end_(back_end_rate, executor) {}

  /// This must outlive the router's requests.
  void add_to(router&);
  /// Requests that the back end has seen.
  [[nodiscard]] std::uint64_t visits() const noexcept { return back_end_.visits(); }
  void end() noexcept { back_end_.end(); }

 private:
  task<response> login(const request&, std::string_view);
  task<response> enqueue(const request&, std::string_view);
  task<response> status(const request&, std::string_view);
  task<response> enter(const request&, std::string_view);
  task<response> detail(const request&, std::string_view event);
  task<void> ask_table();

  desk& desk_;
  shared_station back_end_;
};

}  // namespace ticketing
