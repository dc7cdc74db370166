// The circuit breaker against a model that keeps every result in a list and counts it anew each time, under a clock that
// jumps both ways. After every operation state, decision, windows and ledger must be the same.
#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "support/seeds.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;

/// What the specification says, in the plainest way. Nothing is incremental, nothing is bounded.
class naive_breaker {
 public:
  naive_breaker(const circuit_breaker_config& c, time_point start) : c_(c), start_(start) {
    c_.initial_state == breaker_state::open ? open(start, std::nullopt) : enter(c_.initial_state, start);
  }

  bool admit(int id, time_point now) {
    settle(now);
    if (state == breaker_state::open && now >= open_until) enter(breaker_state::half_open, now);
    switch (state) {
      case breaker_state::open:
      case breaker_state::forced_open: return false;
      case breaker_state::half_open: {
        const auto concurrent = c_.probes.max_concurrent == 0 ? c_.probes.count : c_.probes.max_concurrent;
        if (handed() >= c_.probes.count || running() >= concurrent) return false;
        break;
      }
      default: break;
    }
    const bool watched =
        state == breaker_state::half_open ||
        ((state == breaker_state::closed || state == breaker_state::metrics_only) && running() < c_.watch_running);
    calls[id] = {.generation = generation, .start = now, .watched = watched};
    return true;
  }

  /// False: late.
  bool finish(int id, outcome what, duration took, duration retry_after, time_point now) {
    settle(now);
    call_record& r = calls.at(id);
    const bool late = r.generation != generation || r.expired;
    r.running = false;
    r.ignored = what == outcome::ignored;
    if (late) return false;
    if (what == outcome::ignored || state == breaker_state::disabled) return true;
    const bool overload = what == outcome::overload && !c_.overload_is_failure;
    const bool failed = what != outcome::success;
    const bool told =
        what == outcome::overload && retry_after > 0s && c_.retry_after_limit > 0s && state != breaker_state::metrics_only;
    const window_sample sample{.failure = failed, .slow = slow(took), .overload = overload};
    if (state == breaker_state::half_open) {
      probe_results.push_back(sample);
      told ? trip(now, std::min(retry_after, c_.retry_after_limit)) : decide(now);
      return true;
    }
    record(sample, now);
    if (!overload) failures_in_a_row = failed ? failures_in_a_row + 1 : 0;
    if (told) {
      trip(now, std::min(retry_after, c_.retry_after_limit));
    } else if (!overload) {
      judge(now);
    }
    return true;
  }

  bool force(breaker_state to, time_point now) {
    settle(now);
    if (state == breaker_state::closed && to == breaker_state::half_open) return false;
    if (state == breaker_state::metrics_only && (to == breaker_state::half_open || to == breaker_state::open)) return false;
    if (to == breaker_state::open) {
      open(now, std::nullopt);
    } else {
      if (to == breaker_state::forced_open) count_opening(now);
      if (to == breaker_state::closed) openings = 0;
      enter(to, now);
    }
    return true;
  }

  void settle(time_point now) {
    while (state == breaker_state::half_open) {
      time_point due = never;
      call_record* first = nullptr;
      for (auto& [id, r] : calls) {
        if (r.running && !r.expired && r.generation == generation && later(r.start, lease()) < due) {
          due = later(r.start, lease());
          first = &r;
        }
      }
      const time_point limit = c_.probes.time_limit > 0s ? later(entered, c_.probes.time_limit) : never;
      if (std::min(due, limit) == never || std::min(due, limit) > now) return;
      if (limit < due) {
        c_.probes.at_time_limit == undecided::closes ? enter(breaker_state::closed, limit) : trip(limit, std::nullopt);
      } else {
        first->expired = true;
        ++expired;
        probe_results.push_back({.failure = true, .slow = c_.slow_threshold > 0s});
        decide(due);
      }
    }
    if (state != breaker_state::closed && state != breaker_state::metrics_only) return;
    bool found = false;
    for (auto& [id, r] : calls) {
      if (r.watched && r.running && !r.known_slow && r.generation == generation && slow(elapsed(r.start, now))) {
        r.known_slow = found = true;
      }
    }
    if (found) judge(now);
  }

  [[nodiscard]] window_counts over_calls() const {
    window_counts counts;
    const std::size_t from = results.size() > c_.over_calls.size ? results.size() - c_.over_calls.size : 0;
    for (std::size_t i = from; i < results.size(); ++i) counts.add(results[i].sample);
    return counts;
  }
  [[nodiscard]] window_counts over_time(time_point now) const {
    window_counts counts;
    const auto current = std::max(newest, slice_of(now));
    for (const auto& r : results) {
      if (r.slice > current - static_cast<std::int64_t>(c_.over_time.slicing.slices)) counts.add(r.sample);
    }
    return counts;
  }
  [[nodiscard]] window_counts probes() const {
    window_counts counts;
    for (const auto& s : probe_results) counts.add(s);
    return counts;
  }
  [[nodiscard]] std::uint32_t running_slow() const {
    std::uint32_t n = 0;
    for (const auto& [id, r] : calls) n += r.running && r.known_slow && r.generation == generation;
    return n;
  }

  breaker_state state{};
  std::uint64_t generation = 0, trips = 0, expired = 0, would_trips = 0;
  std::uint32_t openings = 0;
  time_point open_until = never;

 private:
  struct call_record {
    std::uint64_t generation = 0;
    time_point start{};
    bool watched = false;
    bool running = true, expired = false, ignored = false, known_slow = false;
  };
  struct result_record {
    std::int64_t slice;
    window_sample sample;
  };

  bool slow(duration took) const { return c_.slow_threshold > 0s && took > c_.slow_threshold; }
  duration lease() const {
    if (c_.probes.lease > 0s) return c_.probes.lease;
    return c_.slow_threshold > 0s ? c_.slow_threshold * 2 : 10s;
  }
  std::uint32_t handed() const {
    std::uint32_t n = 0;
    for (const auto& [id, r] : calls) n += r.generation == generation && !(r.ignored && !r.expired);
    return n;
  }
  std::uint32_t running() const {
    std::uint32_t n = 0;
    for (const auto& [id, r] : calls) n += r.generation == generation && r.running && !r.expired && r.watched;
    return n;
  }
  std::int64_t slice_of(time_point t) const {
    const auto length = c_.over_time.slicing.length.count() / c_.over_time.slicing.slices;
    const auto since = c_.over_time.slicing.aligned ? t.time_since_epoch().count() : (t - start_).count();
    return since / length - (since % length < 0 ? 1 : 0);
  }

  void record(window_sample s, time_point now) {
    newest = std::max(newest, slice_of(now));
    results.push_back({newest, s});
  }

  bool breached(const window_counts& n, const trip_thresholds& t) const {
    const auto running = running_slow();
    const auto reached = [](std::uint64_t part, std::uint64_t whole, double threshold) {
      return threshold > 0 && whole > 0 && static_cast<double>(part) / static_cast<double>(whole) >= threshold;
    };
    return (n.calls >= t.minimum_calls && reached(n.failures, n.calls, t.failure_rate)) ||
           (n.calls + running >= t.minimum_calls && reached(n.slow + running, n.calls + running, t.slow_rate));
  }

  void judge(time_point now) {
    newest = std::max(newest, slice_of(now));
    const bool found = (c_.over_calls.size > 0 && breached(over_calls(), c_.over_calls.trip)) ||
                       breached(over_time(now), c_.over_time.trip) ||
                       (c_.consecutive_failures > 0 && failures_in_a_row >= c_.consecutive_failures);
    if (state == breaker_state::closed) {
      if (found) trip(now, std::nullopt);
      return;
    }
    would_trips += found && !would_open;
    would_open = found;
  }

  void decide(time_point now) {
    const std::uint64_t decisive = c_.probes.decisive == 0 ? c_.probes.count : c_.probes.decisive;
    const window_counts n = probes();
    const std::uint64_t done = probe_results.size();
    if (done < decisive && !c_.probes.decide_early) return;
    // Every way in which the missing ones could turn out; they agree, or it is too early.
    const std::uint64_t missing = done < decisive ? decisive - done : 0;
    bool may_open = false, may_close = false;
    for (std::uint64_t bad = 0; bad <= missing; ++bad) {
      const auto whole = static_cast<double>(done + missing);
      const bool opens = static_cast<double>(n.failures + bad) / whole >= c_.probes.failure_rate ||
                         (c_.slow_threshold > 0s && static_cast<double>(n.slow + bad) / whole >= c_.probes.slow_rate);
      (opens ? may_open : may_close) = true;
    }
    if (!may_close) return trip(now, std::nullopt);
    if (!may_open) enter(breaker_state::closed, now);
  }

  void enter(breaker_state to, time_point now) {
    ++generation;
    state = to;
    entered = now;
    failures_in_a_row = 0;
    would_open = false;
    if (to == breaker_state::open) return;
    results.clear();
    probe_results.clear();
    newest = slice_of(now);
    if (to == breaker_state::disabled || to == breaker_state::metrics_only) openings = 0;
  }
  void count_opening(time_point now) {
    if (state == breaker_state::closed && elapsed(entered, now) >= c_.openings_forgotten_after) openings = 0;
    ++openings;
  }
  void open(time_point now, std::optional<duration> told) {
    if (!told) count_opening(now);
    enter(breaker_state::open, now);
    open_until = later(now, told ? *told : c_.open_for.nominal(openings) + c_.open_margin);
  }
  void trip(time_point now, std::optional<duration> told) {
    ++trips;
    open(now, told);
  }

  circuit_breaker_config c_;
  time_point start_;
  std::map<int, call_record> calls;
  std::vector<result_record> results;
  std::vector<window_sample> probe_results;
  std::int64_t newest = 0;
  time_point entered{};
  std::uint32_t failures_in_a_row = 0;
  bool would_open = false;
};

circuit_breaker_config random_config(random_stream& random) {
  const auto pick = [&random](std::uint64_t low, std::uint64_t high) {
    return static_cast<std::uint32_t>(low + random.below(high - low + 1));
  };
  const auto chance = [&random](double p) { return random.uniform() < p; };
  const auto trip = [&](std::uint32_t most) {
    return trip_thresholds{.minimum_calls = pick(1, most),
                           .failure_rate = static_cast<double>(pick(chance(0.1) ? 0 : 1, 10)) / 10,
                           .slow_rate = static_cast<double>(pick(chance(0.1) ? 0 : 1, 10)) / 10};
  };
  circuit_breaker_config c;
  const std::uint32_t slices = pick(1, 12);
  c.over_time = {
      .slicing = {.length = slices * duration{pick(1, 900)} * 1'000'000, .slices = slices, .aligned = chance(0.5)},
      .trip = trip(12)};
  if (chance(0.5)) {
    c.over_calls.size = pick(1, 15);
    c.over_calls.trip = trip(c.over_calls.size);
  }
  if (chance(0.6)) c.slow_threshold = pick(1, 300) * 1ms;
  if (c.slow_threshold > 0s && chance(0.5)) c.watch_running = pick(1, 6);
  if (chance(0.3)) c.consecutive_failures = pick(1, 6);
  c.overload_is_failure = chance(0.2);
  if (chance(0.4)) c.retry_after_limit = pick(1, 900) * 1ms;
  c.open_for = {
      .initial = pick(1, 500) * 1ms, .multiplier = 1.0 + random.uniform(), .cap = 2s, .jitter = jitter_kind::none};
  c.open_margin = pick(0, 3) * 1ms;
  c.openings_forgotten_after = pick(0, 3) * 500ms;
  c.probes.count = pick(1, 8);
  c.probes.max_concurrent = pick(0, c.probes.count);
  c.probes.decisive = pick(0, c.probes.count);
  c.probes.decide_early = chance(0.7);
  c.probes.lease = chance(0.5) ? duration{pick(1, 700) * 1ms} : chance(0.3) ? duration::max() : duration{};
  c.probes.failure_rate = static_cast<double>(pick(1, 10)) / 10;
  c.probes.slow_rate = static_cast<double>(pick(1, 10)) / 10;
  if (chance(0.3)) c.probes.time_limit = pick(1, 1500) * 1ms;
  c.probes.at_time_limit = chance(0.5) ? undecided::opens : undecided::closes;
  if (chance(0.3)) c.initial_state = static_cast<breaker_state>(pick(0, 5));
  return c;
}

class CircuitBreakerProperty : public testing::Test {
 protected:
  using breaker_type = basic_circuit_breaker<manual_clock>;

  void run(std::uint64_t seed) {
    random_stream random{seed, "circuit_breaker_property"};
    const circuit_breaker_config config = random_config(random);
    ASSERT_EQ(validate(config), std::nullopt);
    manual_clock clock;
    breaker_type breaker{config, {}, clock};
    naive_breaker model{config, clock.now()};
    std::map<int, breaker_type::permit> permits;
    std::uint64_t arrivals = 0, rejected = 0, cancelled = 0, late = 0;
    std::map<outcome, std::uint64_t> ended;
    const double failing = random.uniform(), overloading = random.uniform() * 0.3;
    for (int i = 0; i < 250; ++i) {
      SCOPED_TRACE("operation " + std::to_string(i));
      move(clock, random);
      const time_point now = clock.now();
      const double kind = random.uniform();
      if (kind < 0.5) {
        ++arrivals;
        auto asked = breaker.try_acquire();
        ASSERT_EQ(asked.has_value(), model.admit(i, now));
        if (asked) {
          permits.emplace(i, std::move(*asked));
        } else {
          ++rejected;
          ASSERT_EQ(asked.error(), errc::circuit_open);
          if (model.state == breaker_state::open) {
            ASSERT_EQ(asked.error().retry_after(), elapsed(now, model.open_until));
          }
        }
      } else if (kind < 0.96 && !permits.empty()) {
        const auto which = std::next(permits.begin(), static_cast<std::ptrdiff_t>(random.below(permits.size())));
        const double r = random.uniform();
        if (r < 0.05) {
          late += !model.finish(which->first, outcome::ignored, {}, {}, now);
          which->second.cancel();
          ++cancelled;
        } else {
          const outcome what = r < 0.12                         ? outcome::ignored
                               : random.uniform() < overloading ? outcome::overload
                               : random.uniform() < failing     ? outcome::failure
                                                                : outcome::success;
          const duration took = random.below(400) * 1ms, retry_after = random.below(2) * random.below(1000) * 1ms;
          late += !model.finish(which->first, what, took, retry_after, now);
          which->second.release({.result = what, .took = took, .retry_after = retry_after});
          ++ended[what];
        }
        permits.erase(which);
      } else if (kind >= 0.96 && kind < 0.98) {
        const auto to = static_cast<breaker_state>(random.below(6));
        ASSERT_EQ(breaker.set_state(to), model.force(to, now));
      }
      // Sometimes nobody looks for a while: what is due must then be done as if somebody had.
      if (random.uniform() < 0.3) continue;
      model.settle(now);
      const auto s = breaker.snapshot();
      ASSERT_EQ(s.state, model.state);
      ASSERT_EQ(s.generation, model.generation);
      ASSERT_EQ(s.over_time.counts, model.over_time(now));
      ASSERT_EQ(s.over_calls.counts, config.over_calls.size > 0 ? model.over_calls() : window_counts{});
      ASSERT_EQ(s.probes.counts, model.probes());
      ASSERT_EQ(s.trips, model.trips);
      ASSERT_EQ(s.would_trips, model.would_trips);
      ASSERT_EQ(s.openings, model.openings);
      ASSERT_EQ(s.probes_expired, model.expired);
      ASSERT_EQ(s.running_slow, model.running_slow());
      if (model.state == breaker_state::open) {
        ASSERT_EQ(s.until_probe, std::max<duration>(0s, elapsed(now, model.open_until)));
      }
      ASSERT_EQ(s.admitted + s.rejected + s.cancelled, arrivals);
      ASSERT_EQ(s.rejected, rejected);
      ASSERT_EQ(s.cancelled, cancelled);
      ASSERT_EQ(s.in_flight, permits.size());
      ASSERT_EQ(s.success, ended[outcome::success]);
      ASSERT_EQ(s.failure, ended[outcome::failure]);
      ASSERT_EQ(s.overload, ended[outcome::overload]);
      ASSERT_EQ(s.ignored, ended[outcome::ignored]);
      ASSERT_EQ(s.late, late);
    }
    trips_ += model.trips;
    late_ += late;
    expired_ += model.expired;
    generations_ += model.generation;
  }

  /// Mostly a little forward, often not at all; sometimes far, sometimes back.
  static void move(manual_clock& clock, random_stream& random) {
    const double kind = random.uniform();
    if (kind < 0.4) return;
    const duration step = random.between(0ns, 100ms);
    if (kind < 0.85) return clock.advance(step);
    if (kind < 0.93) return clock.advance(step * 10);
    if (kind < 0.95) return clock.advance(step * 1000);
    clock.set(clock.now() - (kind < 0.98 ? step : step * 100));
  }

  std::uint64_t trips_ = 0, late_ = 0, expired_ = 0, generations_ = 0;
};

TEST_F(CircuitBreakerProperty, DecidesLikeAListOfAllResults) {
  std::uint64_t seeds = 0;
  for (const std::uint64_t seed : weir::testing_support::seeds(800)) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    run(seed);
    if (HasFatalFailure()) return;
    ++seeds;
  }
  // That the seeds reach what they are meant to reach.
  EXPECT_GT(trips_, seeds);
  EXPECT_GT(late_, seeds);
  EXPECT_GT(expired_, seeds / 4);
  EXPECT_GT(generations_, 4 * seeds);
}

}  // namespace
}  // namespace weir
