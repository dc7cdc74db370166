// The waiting queue against a list and a counter: the same random history, under a clock that jumps both ways, and the same
// answer for every call, at every step.
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <weir/core/random.hpp>

#include "support/seeds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::call;
using weir::duration;
using weir::errc;
using weir::manual_clock;
using weir::never;
using weir::outcome;
using weir::time_point;
using weir::wait_node;
using weir::wait_outcome;

using limiter = weir::basic_concurrency_limiter<manual_clock>;
using limiter_queue = weir::basic_wait_queue<limiter, manual_clock>;
using bucket = weir::basic_rate_limiter<manual_clock>;
using bucket_queue = weir::basic_wait_queue<bucket, manual_clock>;

constexpr errc admitted{};
constexpr errc waits{0xff};
constexpr errc withdrawn{0xfe};

template <class Permit>
struct caller : weir::wait_operation<Permit> {
  caller() {
    this->complete = [](wait_node& node, wait_outcome) noexcept {
      auto& self = static_cast<caller&>(node);
      EXPECT_EQ(self.what, waits) << "completed twice";
      self.note(self.take());
    };
  }
  void note(weir::result<Permit> answer) {
    what = answer ? admitted : static_cast<errc>(answer.error().code().value());
    if (answer) permit.emplace(std::move(*answer));
  }
  errc what = waits;
  std::optional<Permit> permit;
};

struct model {
  struct waiter {
    std::size_t id;
    std::uint32_t cost;
    time_point deadline;
    time_point key;  // of its priority
  };

  // Odd, while the clock shows whole milliseconds: there are no equals.
  static constexpr duration aging = 100ms + 1ns;

  std::uint32_t limit, capacity;
  duration max_wait;
  weir::queue_order order;
  std::uint32_t in_use = 0;
  bool closed = false;
  time_point seen = time_point::min();
  std::vector<waiter> line{};
  std::vector<errc> what{};  // by caller

  void end(std::size_t at, errc how) {
    what[line[at].id] = how;
    line.erase(line.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void expire(time_point now) {
    seen = std::max(seen, now);
    for (std::size_t i = 0; i < line.size();) {
      if (line[i].deadline <= seen) {
        end(i, errc::wait_timeout);
      } else {
        ++i;
      }
    }
  }
  /// Whose turn it is, of those in line.
  std::size_t first() const {
    if (order == weir::queue_order::fifo) return 0;
    if (order == weir::queue_order::lifo) return line.size() - 1;
    const auto less = [](const waiter& a, const waiter& b) { return a.key < b.key; };
    return static_cast<std::size_t>(std::min_element(line.begin(), line.end(), less) - line.begin());
  }
  void serve(time_point now) {
    expire(now);
    while (!line.empty()) {
      const std::size_t next = first();
      if (line[next].cost > limit) {
        end(next, errc::shed);
      } else if (in_use + line[next].cost <= limit) {
        in_use += line[next].cost;
        end(next, admitted);
      } else {
        break;
      }
    }
  }
  errc try_first(const call& c, time_point now) {
    if (closed) return errc::closed;
    if (c.deadline <= now) return errc::expired;
    if (c.cost > limit && c.cost > 0) return errc::never_admissible;
    if (c.cost > 0 && (!line.empty() || in_use + c.cost > limit)) return errc::over_capacity;
    in_use += c.cost;
    return admitted;
  }
  void ask(const call& c, time_point now) {
    const std::size_t id = what.size();
    what.push_back(try_first(c, now));
    if (what.back() != errc::over_capacity) return;
    const time_point deadline = std::min(c.deadline, weir::later(now, max_wait));
    expire(now);
    serve(now);
    if (line.empty() && now < deadline && in_use + c.cost <= limit) {
      in_use += c.cost;
      what[id] = admitted;
    } else if (deadline <= seen) {
      what[id] = errc::expired;
    } else if (line.size() >= capacity) {
      what[id] = errc::queue_full;
    } else {
      what[id] = waits;
      line.push_back({id, c.cost, deadline, seen + c.priority * aging});
    }
  }
  void leave(std::size_t id, errc how, time_point now) {
    const auto found = std::find_if(line.begin(), line.end(), [&](const waiter& w) { return w.id == id; });
    if (found == line.end()) return;
    end(static_cast<std::size_t>(found - line.begin()), how);
    serve(now);
  }
  void give_back(std::uint32_t cost, time_point now) {
    in_use -= cost;
    if (cost > 0 && !line.empty()) serve(now);
  }
  void close(time_point now) {
    closed = true;
    seen = std::max(seen, now);
    while (!line.empty()) end(0, errc::closed);
  }
};

/// A history of one queue and its model.
class history {
 public:
  explicit history(std::uint64_t seed)
      : random_{seed, "wait_queue"},
        model_{.limit = below(8) + 1,
               .capacity = below(12),
               .max_wait = std::chrono::milliseconds{1 + below(400)},
               .order = random_order()},
        slots_{{.limit = model_.limit}, {}, clock_},
        queue_{slots_, config(), {}, clock_} {}

  ~history() {
    for (auto& c : callers_) c.permit.reset();
  }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      step();
      compare(i);
    }
    queue_.close();
    model_.close(clock_.now());
    compare(steps);
    for (auto& c : callers_) {
      if (c.permit) give_back(c);
    }
    EXPECT_EQ(slots_.snapshot().slots_in_use, 0u);
    EXPECT_EQ(slots_.snapshot().calls_in_flight(), 0u);
    EXPECT_FALSE(slots_.snapshot().waiting);
    EXPECT_EQ(queue_.waits(wait_outcome::granted).count(), queue_.snapshot().admitted_after_wait);
    EXPECT_EQ(queue_.waits(wait_outcome::timed_out).count(), queue_.snapshot().wait_timeout);
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_.below(n)); }
  weir::queue_order random_order() {
    return std::array{weir::queue_order::fifo, weir::queue_order::lifo, weir::queue_order::priority}[below(3)];
  }
  weir::wait_queue_config config() const {
    return {.capacity = model_.capacity,
            .max_wait = model_.max_wait,
            .predict = false,
            .discipline = {.order = model_.order, .aging = model::aging}};
  }
  duration random_time() { return std::chrono::milliseconds{below(500)}; }

  void step() {
    const time_point now = clock_.now();
    const std::uint32_t dice = below(92);
    if (dice < 31) {
      ask();
    } else if (dice < 55) {
      release();
    } else if (dice < 63) {
      leave(dice < 60 ? errc::cancelled : withdrawn);
    } else if (dice < 75) {
      clock_.set(now + random_time() / 4);
    } else if (dice < 80) {
      clock_.set(now - random_time());
    } else if (dice < 81) {
      clock_.set(now + 2 * random_time());
    } else if (dice < 87) {
      queue_.on_alarm();
      model_.expire(now);
      model_.serve(now);
    } else if (dice < 91) {
      reconfigure();
    } else if (below(20) == 0) {
      queue_.close();
      model_.close(now);
    }
  }

  void ask() {
    call c{.cost = below(5), .priority = static_cast<std::uint8_t>(below(4))};
    if (below(3) != 0) c.deadline = clock_.now() + random_time() - 20ms;
    if (below(4) == 0) c.now = clock_.now();
    auto& next = callers_.emplace_back();
    costs_.push_back(c.cost);
    if (below(4) == 0) {
      next.note(queue_.try_acquire(c));
      model_.what.push_back(model_.try_first(c, clock_.now()));
    } else {
      if (auto answer = queue_.start(next, c)) next.note(std::move(*answer));
      model_.ask(c, clock_.now());
    }
  }
  void release() {
    if (callers_.empty()) return;
    auto& c = callers_[below(static_cast<std::uint32_t>(callers_.size()))];
    if (c.permit) give_back(c);
  }
  void give_back(caller<limiter::permit>& c) {
    const std::uint32_t cost = c.permit->cost();
    auto permit = std::exchange(c.permit, std::nullopt);
    switch (below(3)) {
      case 0: permit->release(outcome::success); break;
      case 1: permit->cancel(); break;
      default: permit.reset(); break;
    }
    model_.give_back(cost, clock_.now());
  }
  void leave(errc how) {
    if (callers_.empty()) return;
    const std::size_t id = below(static_cast<std::uint32_t>(callers_.size()));
    const bool waited = callers_[id].what == waits;
    const bool left = how == withdrawn ? queue_.withdraw(callers_[id]) : queue_.cancel(callers_[id]);
    EXPECT_EQ(left, waited);
    if (left && how == withdrawn) callers_[id].what = withdrawn;
    model_.leave(id, how, clock_.now());
  }
  void reconfigure() {
    if (below(2) == 0) {
      model_.limit = below(8) + 1;
      EXPECT_FALSE(slots_.reconfigure({.limit = model_.limit}));
      if (!model_.line.empty()) model_.serve(clock_.now());
    } else {
      model_.capacity = below(12);
      model_.max_wait = std::chrono::milliseconds{1 + below(400)};
      model_.order = random_order();
      EXPECT_FALSE(queue_.reconfigure(config()));
      model_.serve(clock_.now());
    }
  }

  void compare(int step) {
    const auto s = queue_.snapshot();
    model_.seen = std::max(model_.seen, clock_.now());  // a snapshot looks at the clock, too
    ASSERT_EQ(callers_.size(), model_.what.size());
    for (std::size_t i = 0; i < callers_.size(); ++i) {
      ASSERT_EQ(callers_[i].what, model_.what[i]) << "caller " << i << " after step " << step;
    }
    ASSERT_EQ(slots_.snapshot().slots_in_use, model_.in_use);
    ASSERT_EQ(slots_.snapshot().waiting, !model_.line.empty());
    ASSERT_EQ(s.waiting, model_.line.size());
    time_point next = never;
    for (const auto& w : model_.line) next = std::min(next, w.deadline);
    ASSERT_EQ(queue_.next_event(), next);

    const auto count = [&](auto... which) {
      return std::count_if(model_.what.begin(), model_.what.end(), [&](errc e) { return ((e == which) || ...); });
    };
    ASSERT_EQ(s.arrivals(), callers_.size());
    ASSERT_EQ(s.admitted(), count(admitted));
    ASSERT_EQ(s.cancelled, count(errc::cancelled, withdrawn));
    ASSERT_EQ(s.queue_full, count(errc::queue_full));
    ASSERT_EQ(s.expired, count(errc::expired));
    ASSERT_EQ(s.wait_timeout, count(errc::wait_timeout));
    ASSERT_EQ(s.shed, count(errc::shed));
    ASSERT_EQ(s.closed, count(errc::closed));
    ASSERT_EQ(s.refused, count(errc::over_capacity, errc::never_admissible));
  }

  weir::random_stream random_;
  manual_clock clock_;
  model model_;
  limiter slots_;
  limiter_queue queue_;
  std::deque<caller<limiter::permit>> callers_;
  std::vector<std::uint32_t> costs_;
};

TEST(wait_queue_property, decides_as_a_list_and_a_counter) {
  for (const std::uint64_t seed : weir::testing_support::seeds(250)) {
    SCOPED_TRACE(seed);
    history{seed}.run(250);
    if (HasFailure()) return;
  }
}

// Tokens, an alarm and the prediction: too much to model in a few lines, so what must hold is checked instead.
TEST(wait_queue_property, tokens_go_out_in_order_in_time_and_not_too_many) {
  for (const std::uint64_t seed : weir::testing_support::seeds(250)) {
    SCOPED_TRACE(seed);
    weir::random_stream random{seed, "tokens"};
    manual_clock clock;
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random.below(n)); };
    const std::uint64_t burst = 3 + below(5), per_second = 10 + below(90);
    bucket tokens{{.limit = {per_second, 1s}, .burst = burst}, {}, clock};
    const auto max_wait = std::chrono::milliseconds{20 + below(1000)};
    bucket_queue queue{tokens, {.capacity = 30, .max_wait = max_wait}, {}, clock};
    weir::manual_timer timer{clock, [&] { queue.on_alarm(); }};
    queue.use_alarm(weir::alarm_ref{timer});
    const time_point begin = clock.now();

    std::deque<caller<bucket::permit>> callers;
    std::vector<std::size_t> in_line;
    std::uint64_t spent = 0, arrivals = 0;
    for (int i = 0; i < 300; ++i) {
      if (below(3) != 0) {
        ++arrivals;
        call c{.cost = 1 + below(3)};
        if (below(2) == 0) c.deadline = clock.now() + std::chrono::milliseconds{below(600)};
        auto& next = callers.emplace_back();
        if (auto answer = queue.start(next, c)) {
          EXPECT_FALSE(answer->has_value() && !in_line.empty()) << "overtook";
          next.note(std::move(*answer));
        } else {
          in_line.push_back(callers.size() - 1);
        }
      } else if (below(4) == 0 && !in_line.empty()) {
        EXPECT_TRUE(queue.cancel(callers[in_line[below(static_cast<std::uint32_t>(in_line.size()))]]));
      } else {
        clock.advance(std::chrono::microseconds{below(60'000)});
      }
      // In order: nobody is admitted behind one who still waits.
      bool somebody_waits = false;
      for (const std::size_t id : in_line) {
        if (callers[id].what == waits) somebody_waits = true;
        EXPECT_FALSE(somebody_waits && callers[id].what == admitted) << "caller " << id;
        EXPECT_FALSE(callers[id].what == waits && callers[id].deadline <= clock.now()) << "the alarm did not ring";
        EXPECT_FALSE(callers[id].what == admitted && callers[id].enqueued + callers[id].waited >= callers[id].deadline);
      }
      std::erase_if(in_line, [&](std::size_t id) { return callers[id].what != waits; });
      spent = 0;
      for (auto& c : callers) spent += c.permit ? c.permit->cost() : 0;
      const auto seconds = std::chrono::duration<double>(clock.now() - begin).count();
      EXPECT_LE(static_cast<double>(spent), static_cast<double>(burst) + static_cast<double>(per_second) * seconds + 1e-6);
      const auto s = queue.snapshot();
      EXPECT_EQ(s.waiting, in_line.size());
      EXPECT_EQ(s.arrivals(), arrivals);
      EXPECT_EQ(timer.due() == never, in_line.empty());
      if (HasFailure()) return;
    }
    clock.advance(2s);
    EXPECT_EQ(queue.snapshot().waiting, 0u) << "time alone ends every wait";
    EXPECT_EQ(timer.due(), never);
    queue.use_alarm({});
  }
}

// Predictions for tokens are exact: who is let in and stays, and whom nobody leaves in front of, is served in time.
TEST(wait_queue_property, who_is_predicted_to_get_tokens_gets_them) {
  int refused_by_all = 0;
  for (const std::uint64_t seed : weir::testing_support::seeds(200)) {
    SCOPED_TRACE(seed);
    weir::random_stream random{seed, "prediction"};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random.below(n)); };
    manual_clock clock;
    bucket tokens{{.limit = {20 + below(200), 1s}, .burst = 2 + below(20)}, {}, clock};
    bucket_queue queue{tokens, {.capacity = 200, .max_wait = 1h}, {}, clock};
    weir::manual_timer timer{clock, [&] { queue.on_alarm(); }};
    queue.use_alarm(weir::alarm_ref{timer});
    std::deque<caller<bucket::permit>> callers;
    int refused = 0;
    for (int i = 0; i < 300; ++i) {
      auto& next = callers.emplace_back();
      const call c{.deadline = clock.now() + std::chrono::milliseconds{1 + below(2000)}, .cost = 1};
      if (auto answer = queue.start(next, c)) next.note(std::move(*answer));
      refused += next.what == errc::would_miss_deadline;
      clock.advance(std::chrono::microseconds{below(5000)});
    }
    clock.advance(1h);
    for (auto& c : callers) {
      EXPECT_TRUE(c.what == admitted || c.what == errc::would_miss_deadline) << static_cast<int>(c.what);
    }
    refused_by_all += refused;
    queue.use_alarm({});
  }
  EXPECT_GT(refused_by_all, 100);
}

}  // namespace
