#include "counters.hpp"

#include <boost/json/object.hpp>

namespace ticketing {

boost::json::object to_json(const connection_counters& c) {
  return {{"open", c.open},          {"accepted", c.accepted},   {"refused", c.refused}, {"acceptErrors", c.accept_errors},
          {"timedOut", c.timed_out}, {"malformed", c.malformed}, {"hungUp", c.hung_up}};
}

}  // namespace ticketing
