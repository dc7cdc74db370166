#pragma once
/// \file
/// Which function answers which request. Counts by route and status.

#include "counters.hpp"
#include "message.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ticketing {

/// Errors of an action: bad_body is answered by 400, all others by 500.
/// `parameter`: what stands in the place of "{}".
using action = std::function<task<response>(const request&, std::string_view parameter)>;

/// One of a service's functions. The service must outlive it.
template <class Service>
[[nodiscard]] action bound(Service& service, task<response> (Service::*step)(const request&, std::string_view)) {
  return [&service, step](const request& r, std::string_view parameter) { return (service.*step)(r, parameter); };
}
/// 1 and more; nullopt: it is no such number.
[[nodiscard]] std::optional<std::int64_t> whole_number(std::string_view parameter) noexcept;

/// Not thread-safe: belongs to the I/O thread.
class router {
 public:
  explicit router(service_counters& counters) : counters_(counters) {}

  /// `pattern`: a path in which one segment may be "{}". Both must be literals.
  void add(std::string_view method, std::string_view pattern, action run);
  /// Everything below `prefix` ("/rooms/"), whatever the method. A literal.
  void mount(std::string_view prefix, action run);

  /// Never throws for what a client sent.
  [[nodiscard]] task<response> handle(const request&);

 private:
  struct route {
    std::string_view method, pattern;
    action run;
  };
  task<response> answer(const request&, std::string& label);

  service_counters& counters_;
  std::vector<route> routes_, mounted_;
};

}  // namespace ticketing
