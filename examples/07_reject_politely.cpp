// Lesson 7: from a rejection to an HTTP answer, with any HTTP library.
//
// Every code of weir knows its status: 429 if this client asks too often, 503 if the service is full, 413 if it is no use
// to try again, 504 if it took too long. Retry-After comes from the policy that refused, rounded up to whole seconds.
#include <weir/core/error.hpp>

#include <chrono>
#include <cstdio>
#include <string>

using namespace std::chrono_literals;

struct answer {
  unsigned status;
  std::string retry_after;  // header value; empty: no header
  std::string body;
};

answer to_http(const weir::rejection& why) {
  if (why.code().category() != weir::category()) return {502, {}, "the backend failed"};
  const auto& row = weir::info(static_cast<weir::errc>(why.code().value()));
  answer out{row.http_status, {}, row.description};
  const bool may_come_back = why == weir::condition::rejected;
  if (may_come_back && why.retry_after() > 0ns) {
    out.retry_after = std::to_string(std::chrono::ceil<std::chrono::seconds>(why.retry_after()).count());
  }
  return out;
}

void show(const weir::rejection& why) {
  const answer a = to_http(why);
  std::printf("HTTP/1.1 %u\n", a.status);
  if (!a.retry_after.empty()) std::printf("Retry-After: %s\n", a.retry_after.c_str());
  std::printf("%s\n\n", a.body.c_str());
}

int main() {
  const weir::name search{"search"};
  show({weir::errc::rate_limited, search, 1200ms});
  show({weir::errc::circuit_open, search, 5s});
  show({weir::errc::over_capacity, search});
  show({weir::errc::never_admissible, search});
  show(weir::rejection{make_error_code(boost::system::errc::connection_refused)});
}
