#pragma once
/// \file
/// What a scenario file says, as plain data: the load, the journeys of its users, and what must hold. The driver sends it,
/// the simulator will replay it. Read one with parse.hpp.
///
/// Words follow k6: an *executor* decides when journeys (k6: iterations) start, a *VU* is a place in which one journey at
/// a time runs, a *stage* moves the rate or the number of VUs linearly to its target.

#include <weir/core/backoff.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace weir::scenario {

enum class executor : std::uint8_t {
  constant_arrival_rate,  ///< open loop: `rate` journeys per time_unit
  ramping_arrival_rate,   ///< open loop: from start_rate through the stages
  constant_vus,           ///< closed loop: `vus` users, each begins again when it has finished
  ramping_vus,            ///< closed loop, the number of users follows the stages
  shared_iterations,      ///< closed loop: `iterations` journeys in all
  per_vu_iterations,      ///< closed loop: `iterations` journeys for each user
};
[[nodiscard]] const char* to_string(executor) noexcept;
/// Whether journeys start whatever the server does. Only then is the load what the scenario says.
[[nodiscard]] constexpr bool is_open_loop(executor e) noexcept {
  return e == executor::constant_arrival_rate || e == executor::ramping_arrival_rate;
}

enum class arrivals : std::uint8_t {
  poisson,  ///< independent users: gaps are exponential
  uniform,  ///< evenly spaced, as k6 does it; hides the queueing near the knee
};
[[nodiscard]] const char* to_string(arrivals) noexcept;

struct stage {
  duration length{};  ///< 0: a jump
  double target = 0;  ///< journeys per time_unit, or VUs, at its end
};

struct load {
  std::string name;
  scenario::executor executor = executor::constant_arrival_rate;
  std::string journey;
  scenario::arrivals arrivals = arrivals::poisson;
  double start_rate = 0;                              ///< per time_unit, where ramping begins
  double rate = 0;                                    ///< per time_unit, constant-arrival-rate
  duration time_unit = std::chrono::seconds{1};       ///< > 0
  std::vector<stage> stages;                          ///< ramping executors
  duration length{};                                  ///< of the constant executors; a bound for the counting ones
  std::uint64_t vus = 1;                              ///< closed loop; ramping-vus: where ramping begins
  std::uint64_t max_vus = 1000;                       ///< open loop: an arrival that finds this many busy is dropped
  std::uint64_t iterations = 1;                       ///< counting executors
  duration graceful_stop = std::chrono::seconds{30};  ///< how long running journeys may go on after the end
};

/// When the last stage of the load ends.
[[nodiscard]] duration length_of(const load&) noexcept;

/// What may be asked of a value in a JSON answer.
struct json_match {
  using value = std::variant<bool, std::int64_t, double, std::string>;

  std::string pointer;        ///< JSON pointer; empty: the whole document
  std::vector<value> equals;  ///< one of these; empty: the value only has to be there
};

/// One assertion on a body; a failed one makes the call an error.
struct body_check {
  std::string name;
  std::optional<json_match> match;
  std::string contains;  ///< in the text; used if there is no `match`
};

/// A step that is repeated until the answer says so, as the page of somebody who waits does it. An answer 429 came too
/// early: it is waited for and is no failure.
struct poll {
  json_match until;                   ///< the step has succeeded when this holds
  std::optional<json_match> give_up;  ///< the step has failed when this holds
  std::string hint;  ///< JSON pointer to the milliseconds of the server's clock until the next poll; may be empty
  duration every = std::chrono::seconds{1};      ///< between an answer and the next poll, where no hint says otherwise
  std::uint64_t max_polls = 0;                   ///< the step has failed after so many; 0: any number
  duration max_wait = std::chrono::minutes{10};  ///< from the first poll's intended start; then the step has failed
};

struct step {
  std::string name;
  std::string method, path;                    ///< `path` may hold placeholders, see placeholders.hpp
  std::map<std::string, std::string> headers;  ///< values may hold placeholders
  std::string body;                            ///< may hold placeholders
  std::map<std::string, std::string> capture;  ///< placeholder name -> JSON pointer into the answer
  std::vector<unsigned> expect;                ///< statuses; empty: any 2xx or 3xx
  std::vector<body_check> checks;
  std::map<std::string, std::string> tags;      ///< for thresholds: "http_req_duration{class:read}"
  duration timeout = std::chrono::seconds{60};  ///< of one attempt, connecting included
  std::uint64_t repeat = 1;                     ///< calls in a row; 1 where there is a `poll`
  std::optional<scenario::poll> poll;           ///< captures and checks are of the answer that ends it well
  duration pause{};                             ///< after each call; the next one is due then
  duration think{};                             ///< on top of `pause`, exponential with this mean
  std::string pause_hint;  ///< JSON pointer to milliseconds of the server's clock, on top of these; may be empty

  [[nodiscard]] bool expects(unsigned status) const noexcept;
};

/// Off by default: max_attempts is 1.
struct retry {
  std::uint64_t max_attempts = 1;  ///< in all, the first included
  backoff wait{.cap = std::chrono::seconds{2}};
  std::vector<unsigned> on{429, 503};
  bool honour_retry_after = true;  ///< wait as long as the server says, and then the jittered backoff on top
};

struct journey {
  std::string name;
  bool abort_on_failure = true;  ///< a failed step ends the journey; false: k6's and JMeter's default, survivors only
  std::vector<step> steps;
  scenario::retry retry;
};

enum class statistic : std::uint8_t { quantile, avg, min, max, med, rate, count, value };
enum class comparison : std::uint8_t { less, less_equal, greater, greater_equal, equal, not_equal };

/// What the file says of a threshold; see threshold.hpp.
struct threshold {
  std::string metric;                       ///< "http_req_duration", without tags
  std::map<std::string, std::string> tags;  ///< {step:register}
  std::string metric_text;                  ///< as written, "http_req_duration{step:register}"
  std::string expression;                   ///< as written, "p(95)<800"
  scenario::statistic statistic = statistic::value;
  double quantile = 0;  ///< in [0, 1]
  scenario::comparison comparison = comparison::less;
  double bound = 0;
};

/// Good means: expected, and within this.
struct slo {
  std::string step;  ///< empty: every step
  duration within{};
};

struct definition {
  std::string name;
  std::uint64_t seed = 1;
  std::string target;  ///< "http://127.0.0.1:8081", or several between commas; may be given on the command line instead
  duration warmup{};   ///< left out of the summary, kept in the series
  std::optional<scenario::slo> slo;
  std::optional<duration> peak_end;  ///< where recovery is measured from; else from the last planned overload
  std::vector<load> loads;
  std::vector<journey> journeys;
  std::vector<threshold> thresholds;

  [[nodiscard]] const journey* find_journey(std::string_view name) const noexcept;
  /// The end of the longest load.
  [[nodiscard]] duration length() const noexcept;
};

/// Multiplies every arrival rate: start_rate, rate, and the targets of ramping-arrival-rate. VUs and counts are left alone.
void scale_rates(definition&, double factor);

}  // namespace weir::scenario
