#include "virtual_user.hpp"

#include "scenario/placeholders.hpp"

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace weir::load {
namespace {

constexpr unsigned too_many_requests = 429;

std::string random_uuid(random_stream& random) {
  const std::uint64_t a = random();
  const std::uint64_t b = random();
  char text[37];
  // Version 4, variant 1 (RFC 9562).
  std::snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(a >> 32),
                static_cast<unsigned>(a >> 16 & 0xffff), static_cast<unsigned>(a & 0xfff),
                static_cast<unsigned>((b >> 48 & 0x3fff) | 0x8000), static_cast<unsigned long long>(b & 0xffffffffffff));
  return text;
}

/// What a server sent must not end the request line or a header.
std::string made_safe(std::string value) {
  std::erase_if(value, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  return value;
}

std::string percent_encoded(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                       c == '_' || c == '~';
    char text[4];
    if (plain) {
      out += c;
    } else {
      std::snprintf(text, sizeof text, "%%%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += text;
    }
  }
  return out;
}

/// `wanted`: in lower case. nullptr: the step has no such header.
const std::string* find_header(const scenario::step& step, std::string_view wanted) {
  const auto found = std::find_if(step.headers.begin(), step.headers.end(), [wanted](const auto& header) {
    return header.first.size() == wanted.size() &&
           std::equal(wanted.begin(), wanted.end(), header.first.begin(), [](char a, char b) { return a == (b | 0x20); });
  });
  return found == step.headers.end() ? nullptr : &found->second;
}

/// Of a poll also one that says that it came too early.
bool is_expected(const scenario::step& step, const exchange& answer) {
  return answer.end == exchange::ending::answered &&
         (step.expects(answer.status) || (step.poll && answer.status == too_many_requests));
}

}  // namespace

virtual_user::virtual_user(surroundings& around, std::uint64_t number)
    : around_(around),
      number_(number),
      target_(around.targets[(number - 1) % around.targets.size()]),
      session_(around.io, target_.endpoint, around.bytes),
      pause_(around.io) {}

void virtual_user::interrupt() noexcept {
  interrupted_ = true;
  session_.cancel();
  pause_.cancel();
}

task<void> virtual_user::run(const scenario::journey& journey, duration intended, std::uint64_t iteration) {
  context c{journey, {intended, around_.now()}, iteration, {}};
  around_.record.started(c.times);
  bool failed = false;
  duration due = intended;
  step_index step = around_.record.first_step(journey.name);
  for (const scenario::step& s : journey.steps) {
    for (std::uint64_t i = 0; i < s.repeat; ++i) {
      const bool in_time = co_await pause_until(due);
      called ended{call_result::interrupted};
      if (in_time && s.poll) {
        ended = co_await wait(c, s, *s.poll, step, due);
      } else if (in_time) {
        ended = co_await call(c, s, step, due);
      }
      if (ended.result == call_result::interrupted) {
        around_.record.interrupted(c.times, around_.now());
        co_return;
      }
      if (ended.result == call_result::failed) {
        failed = true;
        if (journey.abort_on_failure) {
          around_.record.failed(c.times, around_.now());
          co_return;
        }
      }
      due = around_.now() + s.pause + ended.again;
      if (s.think > duration{0}) due += around_.think.exponential(s.think);
    }
    ++step;
  }
  // A pause behind the last call belongs to the user's time, not to the journey's.
  if (failed) {
    around_.record.failed(c.times, around_.now());
  } else {
    around_.record.completed(c.times, around_.now());
  }
}

task<virtual_user::called> virtual_user::wait(context& c, const scenario::step& step, const scenario::poll& poll,
                                              step_index index, duration begin) {
  const duration patience_ends = begin + poll.max_wait;
  around_.record.wait_begun(c.times, index);
  duration due = begin;
  for (std::uint64_t n = 1;; ++n) {
    const called answer = co_await call(c, step, index, due, patience_ends);
    if (answer.result != call_result::as_expected) co_return answer;
    if (answer.says == poll_answer::word::done) {
      around_.record.wait_ended(c.times, index, answer.end - begin);
      co_return answer;
    }
    if (answer.says == poll_answer::word::given_up || n == poll.max_polls) co_return called{call_result::failed};
    due = answer.end + answer.again;
    const bool in_time = co_await pause_until(std::min(due, patience_ends));
    if (!in_time) co_return called{call_result::interrupted};
    if (due >= patience_ends) co_return called{call_result::failed};
  }
}

virtual_user::called virtual_user::conclude(context& c, const scenario::step& step, const call_end& end,
                                            const exchange& answer) {
  recorder& record = around_.record;
  call_end ended = end;
  ended.result = record.judge_expected(end.step, end.end - end.due);
  called out{call_result::as_expected, poll_answer::word::done, end.end, {}};
  if (step.poll) {
    const poll_answer read = read_poll(*step.poll, answer.body);
    std::optional<duration> again = read.hint;
    out.says = read.says;
    if (answer.status == too_many_requests && !step.expects(too_many_requests)) {
      out.says = poll_answer::word::wait;
      if (!again) again = answer.retry_after;
      record.polled_too_early(c.times, end.step);
    }
    out.again = again ? around_.clock.in_scenario(*again) : step.poll->every;
    if (out.says != poll_answer::word::done) {
      record.call_ended(c.times, ended, 1, 0);
      return out;
    }
  }
  answer_findings found = inspect_answer(step, answer.body);
  out.again = found.hint ? around_.clock.in_scenario(*found.hint) : duration{};
  for (auto& [name, value] : found.captured) c.captured[name] = std::move(value);
  if (!found.ok()) {
    ended.result = verdict::error;
    out.result = call_result::failed;
  }
  record.call_ended(c.times, ended, 1 + found.checks_passed, found.checks_failed + (found.missing.empty() ? 0 : 1));
  return out;
}

task<virtual_user::called> virtual_user::call(context& c, const scenario::step& step, step_index index, duration due,
                                              duration patience_ends) {
  recorder& record = around_.record;
  record.call_begun(c.times, index);
  const std::string request = render(c, step);
  const std::uint64_t all_checks = 1 + step.checks.size();  // the status is one
  for (std::uint64_t n = 1;; ++n) {
    const exchange answer = co_await attempt(c, step, index, request);
    if (answer.end == exchange::ending::own_error) co_return called{call_result::interrupted};
    if (answer.end == exchange::ending::cancelled) {
      record.call_cut(c.times, index, due, around_.now());
      co_return called{call_result::interrupted};
    }
    const duration end = around_.clock.offset(answer.done);
    call_end ended{index, due, end, verdict::broken, step.timeout};
    if (is_expected(step, answer)) co_return conclude(c, step, ended, answer);
    const std::optional<duration> wait = retry_in(c.journey.retry, answer, n);
    if (!wait || *wait >= patience_ends - end) {
      if (answer.end == exchange::ending::timed_out) ended.result = verdict::timeout;
      if (answer.end == exchange::ending::answered) {
        ended.result = answer.status == 429 || answer.status == 503 ? verdict::rejected : verdict::error;
      }
      record.call_ended(c.times, ended, 0, all_checks);
      co_return called{call_result::failed};
    }
    const bool in_time = co_await pause_until(end + *wait);
    if (!in_time) {
      record.call_cut(c.times, index, due, around_.now());
      co_return called{call_result::interrupted};
    }
  }
}

std::optional<duration> virtual_user::retry_in(const scenario::retry& retry, const exchange& answer,
                                               std::uint64_t attempts) {
  if (answer.end != exchange::ending::answered || attempts >= retry.max_attempts) return std::nullopt;
  if (std::find(retry.on.begin(), retry.on.end(), answer.status) == retry.on.end()) return std::nullopt;
  duration wait = retry.wait.delay(static_cast<std::uint32_t>(attempts), around_.jitter);
  if (retry.honour_retry_after && answer.retry_after) wait += around_.clock.in_scenario(*answer.retry_after);
  return wait;
}

task<exchange> virtual_user::attempt(context& c, const scenario::step& step, step_index index, const std::string& request) {
  exchange answer = co_await session_.send(request, around_.clock.on_wall(step.timeout), step.method == "HEAD");
  using e = exchange::ending;
  if (answer.end != e::cancelled && answer.end != e::own_error) {
    around_.record.attempt_ended(c.times, {index, around_.clock.offset(answer.sent), around_.clock.offset(answer.done),
                                           answer.status, answer.failure, is_expected(step, answer)});
  }
  co_return answer;
}

task<bool> virtual_user::pause_until(duration at) {
  if (interrupted_) co_return false;
  if (around_.now() < at) {
    pause_.expires_at(around_.clock.at(at));
    boost::system::error_code ec;
    co_await pause_.async_wait(boost::asio::redirect_error(use_task, ec));
  }
  co_return !interrupted_;
}

std::string virtual_user::render(const context& c, const scenario::step& step) const {
  const auto value = [&](std::string_view name) -> std::string {
    if (name == "vu") return std::to_string(number_);
    if (name == "iteration") return std::to_string(c.iteration);
    if (name == "uuid") return random_uuid(around_.uuids);
    // Missing only where a failed step does not end the journey.
    const auto found = c.captured.find(name);
    return found == c.captured.end() ? std::string{} : found->second;
  };
  const auto in_path = [&](std::string_view name) { return percent_encoded(value(name)); };
  const auto in_header = [&](std::string_view name) { return made_safe(value(name)); };

  std::string out = step.method + " " + scenario::fill_placeholders(step.path, in_path) +
                    " HTTP/1.1\r\nHost: " + target_.authority + "\r\n";
  if (find_header(step, "user-agent") == nullptr) out += "User-Agent: weir\r\n";
  for (const auto& [name, text] : step.headers) out += name + ": " + scenario::fill_placeholders(text, in_header) + "\r\n";
  if (!step.body.empty() || step.method == "POST" || step.method == "PUT" || step.method == "PATCH") {
    const std::string* type = find_header(step, "content-type");
    const bool is_json = type == nullptr || type->find("json") != std::string::npos;
    const std::string body =
        is_json ? scenario::fill_json_placeholders(step.body, value) : scenario::fill_placeholders(step.body, value);
    if (!step.body.empty() && type == nullptr) out += "Content-Type: application/json\r\n";
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  } else {
    out += "\r\n";
  }
  return out;
}

}  // namespace weir::load
