#include "database_access.hpp"

#include "answers.hpp"
#include "body.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include <cstdio>
#include <utility>

namespace ticketing {

weir::call database_access::call_of(const char* tag) const {
  weir::call c{.tag = tag};
  // From now on, not from the arrival: a hash that took longer than it should have is not to be thrown away.
  if (guard_ != nullptr) c.deadline = weir::later(std::chrono::steady_clock::now(), guard_->slo());
  return c;
}

task<std::variant<store_reply, response>> database_access::ask(const request& r, weir::call c, step what) {
  const auto session = co_await store_.session(c);
  if (!session) co_return no_connection(r, session.error());
  store_reply reply;
  if (guard_ == nullptr) {
    reply = co_await what(**session);
  } else {
    auto ask = [&] { return within(c.deadline, what(**session)); };
    auto answered = co_await guard_->through_circuit(std::move(ask));
    if (!answered) co_return r.gone() ? client_left() : guard_->refusal(answered.error());
    reply = std::move(*answered);
  }
  switch (reply.status) {
    case store_status::ok: co_return reply;
    case store_status::no_such_concert: co_return problem(404, "no such concert");
    case store_status::no_such_user: co_return problem(404, "field \"userId\": no such user");
    case store_status::points_full: co_return problem(409, "the account can hold no more points");
    case store_status::no_points: co_return problem(402, "not enough points");
    case store_status::sold_out: co_return problem(409, "sold out");
    case store_status::abandoned: co_return r.gone() ? client_left() : shutting_down();
    case store_status::unavailable: break;
  }
  co_return unavailable(reply);
}

task<store_reply> database_access::within(weir::time_point deadline, task<store_reply> work) {
  using namespace boost::asio::experimental::awaitable_operators;
  using clock = std::chrono::steady_clock;
  boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type> limit{executor_, deadline};
  auto first = co_await (std::move(work) || limit.async_wait(use_task));
  if (auto* reply = std::get_if<store_reply>(&first)) co_return std::move(*reply);
  co_return store_reply{.status = store_status::unavailable, .message = "no answer in time"};
}

response database_access::no_connection(const request& r, const weir::pool_rejection& why) {
  if (r.gone()) return client_left();
  if (why == weir::errc::closed) return shutting_down();
  if (why == weir::errc::backend_down) {
    const bool told = why.evidence() != nullptr && why.evidence()->last_failure != nullptr;
    response answer = unavailable({.message = told ? why.evidence()->last_failure->text : why.message()});
    return guard_ != nullptr ? guard_->refusal(why) : std::move(answer);
  }
  if (guard_ != nullptr) return guard_->refusal(why);
  // As it was reported: the pool's words, as an error of the server.
  return {.status = 500, .body = error_json(why.message())};
}

response database_access::unavailable(const store_reply& reply) {
  ++counters_.store_errors;
  counters_.last_store_error = one_line(reply.message);
  const auto now = weir::time_point(std::chrono::steady_clock::now());
  if (now - last_logged_ >= std::chrono::seconds{1}) {
    last_logged_ = now;
    std::fprintf(stderr, "ticketing: database: %s (%llu errors so far)\n", counters_.last_store_error.c_str(),
                 static_cast<unsigned long long>(counters_.store_errors));
  }
  return {.status = 503,
          .body = error_json("the database is not available: " + counters_.last_store_error),
          .retry_after = std::chrono::seconds{1}};
}

}  // namespace ticketing
