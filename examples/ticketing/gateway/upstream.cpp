#include "upstream.hpp"

#include "../answers.hpp"

#include <boost/json/object.hpp>

#include <weir/http/message.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace ticketing {
namespace {

using weir::same_but_for_case;
using weir::load::exchange;

/// Less than a service's patience with a silent connection: one that it closes just now would cost a request.
constexpr std::chrono::seconds longest_idle{30};
constexpr std::string_view via = "1.1 ticketing_gateway";

/// What speaks of this connection only, and not of the message (RFC 9110, 7.6.1).
constexpr std::string_view of_the_connection[] = {"Connection", "Keep-Alive",        "Proxy-Connection", "TE",
                                                  "Trailer",    "Transfer-Encoding", "Upgrade"};
/// What the gateway says itself: the body is whole here, and 100-continue has been answered.
constexpr std::string_view said_anew[] = {"Content-Length", "Expect"};

bool is_one_of(std::string_view name, const auto& names) {
  return std::ranges::any_of(names, [name](std::string_view n) { return same_but_for_case(n, name); });
}

/// The names in the Connection headers.
std::vector<std::string_view> named_by_connection(const auto& headers) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : headers) {
    if (!same_but_for_case(name, "Connection")) continue;
    std::string_view rest{value};
    while (!rest.empty()) {
      std::string_view one = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(one.size() + 1, rest.size()));
      one.remove_prefix(std::min(one.find_first_not_of(" \t"), one.size()));
      names.push_back(one.substr(0, one.find_last_not_of(" \t") + 1));
    }
  }
  return names;
}

/// `headers` that go on to the other side.
void pass_on(const auto& headers, auto&& to) {
  const std::vector<std::string_view> named = named_by_connection(headers);
  for (const auto& [name, value] : headers) {
    if (is_one_of(name, of_the_connection) || is_one_of(name, said_anew) || is_one_of(name, named)) continue;
    to(std::string_view{name}, std::string_view{value});
  }
}

std::string text_of(const request& r, const std::string& authority) {
  // The server leaves the body out of its answer to HEAD.
  std::string text{r.method == "HEAD" ? std::string_view{"GET"} : r.method};
  text.append(" ").append(r.target).append(" HTTP/1.1\r\n");
  bool has_host = false;
  pass_on(r.headers, [&](std::string_view name, std::string_view value) {
    has_host = has_host || same_but_for_case(name, "Host");
    text.append(name).append(": ").append(value).append("\r\n");
  });
  if (!has_host) text.append("Host: ").append(authority).append("\r\n");
  text.append("Via: ").append(via).append("\r\n");
  // Behind those that the client brought, which may be true or not.
  if (!r.remote.empty()) text.append("X-Forwarded-For: ").append(r.remote).append("\r\n");
  if (!r.body.empty() || r.method == "POST" || r.method == "PUT" || r.method == "PATCH") {
    text.append("Content-Length: ").append(std::to_string(r.body.size())).append("\r\n");
  }
  return text.append("\r\n").append(r.body);
}

/// Nothing is done twice by it (RFC 9110, 9.2.1).
bool is_safe(std::string_view method) { return method == "GET" || method == "HEAD"; }

response with_headers_of(const exchange& told) {
  response answer{.status = told.status};
  pass_on(told.headers, [&](std::string_view name, std::string_view value) { answer.headers.emplace_back(name, value); });
  answer.headers.emplace_back("Via", via);
  return answer;
}

}  // namespace

/// One of the requests under way.
class upstream::place {
 public:
  explicit place(upstream& u) : upstream_(u) { u.in_flight_peak_ = std::max(u.in_flight_peak_, ++u.in_flight_); }
  ~place() { --upstream_.in_flight_; }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

 private:
  upstream& upstream_;
};

task<response> upstream::forward(const request& r) {
  response answer;
  if (!r.target.starts_with('/')) {
    answer = problem(400, "the target must be a path");
  } else if (in_flight_ >= options_.max_in_flight) {
    answer = problem(503, "too many requests under way");
    answer.retry_after = std::chrono::seconds{1};
  } else {
    answer = co_await ask(r);
  }
  ++answers_[answer.status];
  co_return answer;
}

task<response> upstream::ask(const request& r) {
  const place inside{*this};
  session connection = take();
  const std::string text = text_of(r, options_.authority);
  exchange told = co_await connection->send(text, options_.timeout, false);
  if (told.crossed && is_safe(r.method)) {
    told = co_await connection->send(text, options_.timeout - (told.done - told.sent), false);
  }
  if (told.streams) co_return streamed(std::move(connection), std::move(told));
  idle_.push_back({std::move(connection), std::chrono::steady_clock::now()});
  if (told.end != exchange::ending::answered) ++no_answers_[std::string(told.failure)];
  co_return answer_of(std::move(told));
}

/// An answer on its way, piece by piece. Its connection goes with it.
class upstream::events final : public body_source {
 public:
  events(upstream& u, session s) : upstream_(u), session_(std::move(s)) {
    u.streams_peak_ = std::max(u.streams_peak_, ++u.streams_);
  }
  ~events() override { --upstream_.streams_; }

  task<std::string> next() override { return session_->more(upstream_.options_.silence); }

 private:
  upstream& upstream_;
  session session_;
};

response upstream::streamed(session connection, exchange&& told) {
  if (streams_ >= options_.max_streams) {
    response refused = problem(503, "too many streams under way");
    refused.retry_after = std::chrono::seconds{5};
    return refused;
  }
  response answer = with_headers_of(told);
  answer.source = std::make_shared<events>(*this, std::move(connection));
  return answer;
}

upstream::session upstream::take() {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(idle_, [now](const idle_session& s) { return now - s.since > longest_idle; });
  if (idle_.empty()) {
    const weir::load::session_options o{
        .largest_body = options_.largest_answer, .keep_headers = true, .streamed_type = "text/event-stream"};
    return std::make_unique<weir::load::http_session>(io_, options_.backend, traffic_, o);
  }
  session top = std::move(idle_.back().kept);
  idle_.pop_back();
  return top;
}

response upstream::answer_of(exchange&& told) const {
  using e = exchange::ending;
  switch (told.end) {
    case e::timed_out: return problem(504, "the service did not answer in time");
    case e::own_error: return problem(503, "the gateway has no room for a connection");
    case e::cancelled: return client_left();
    case e::broken: return problem(502, "the service: " + std::string(told.failure));
    case e::answered: break;
  }
  if (told.status < 200) return problem(502, "the service: an answer that is none");  // nothing was to be upgraded
  response answer = with_headers_of(told);
  answer.body = std::move(told.body);
  const auto has_type =
      std::ranges::any_of(answer.headers, [](const auto& h) { return same_but_for_case(h.first, "Content-Type"); });
  if (!has_type && !answer.body.empty()) answer.headers.emplace_back("Content-Type", "application/octet-stream");
  return answer;
}

boost::json::object upstream::counters() const {
  boost::json::object answers, no_answers;
  for (const auto& [status, n] : answers_) answers[std::to_string(status)] = n;
  for (const auto& [why, n] : no_answers_) no_answers[why] = n;
  return {{"answers", std::move(answers)},
          {"noAnswers", std::move(no_answers)},
          {"inFlight", in_flight_},
          {"inFlightPeak", in_flight_peak_},
          {"streams", streams_},
          {"streamsPeak", streams_peak_},
          {"connections",
           {{"opened", traffic_.connections_opened}, {"open", traffic_.open_now}, {"openPeak", traffic_.open_peak}}}};
}

}  // namespace ticketing
