// Random chains of real policies with random outcomes, on a clock that is set back now and then: every ledger balances
// against the test's own count, every permit comes back exactly once, and a refusal leaves the layers before it as if they
// had not been asked.
#include <weir/core/random.hpp>
#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>
#include <weir/testing/scripted_callee.hpp>

#include <support/seeds.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using clocked_breaker = basic_circuit_breaker<manual_clock>;
using clocked_rate = basic_rate_limiter<manual_clock>;
using clocked_slots = basic_concurrency_limiter<manual_clock>;
using clocked_queue = basic_wait_queue<clocked_slots, manual_clock>;

// What the test itself has seen of one layer.
struct count {
  std::uint64_t asked = 0, rejected = 0, cancelled = 0;
  std::array<std::uint64_t, 4> ended{};
  std::uint64_t in_flight = 0, slots = 0;

  [[nodiscard]] std::uint64_t admitted() const { return asked - rejected - cancelled; }
};

enum layer_id : std::size_t { rate, slots, breaker, queue, layer_count };

struct world {
  explicit world(random_stream& random)
      : limiter({.name = "rate", .limit = {1 + random.below(50), 1s}, .burst = 1 + random.below(20)}, {}, clock),
        workers({.name = "slots", .limit = 1 + static_cast<std::uint32_t>(random.below(6))}, {}, clock),
        circuit({.name = "breaker",
                 .consecutive_failures = 1 + static_cast<std::uint32_t>(random.below(4)),
                 .open_for = {.initial = 50ms, .cap = 200ms},
                 .probes = {.count = 2}},
                {}, clock),
        queued({.name = "queue", .limit = 1 + static_cast<std::uint32_t>(random.below(6))}, {}, clock),
        line(queued, {.name = "line"}, {}, clock) {}

  // The queue in front of a limiter asks it for every call: a refusal without waiting is the limiter's.
  static layer_id by_name(std::string_view name) {
    if (name == "rate") return rate;
    if (name == "slots") return slots;
    if (name == "breaker") return breaker;
    EXPECT_EQ(name, "queue");
    return queue;
  }
  any_policy erased(layer_id id) {
    switch (id) {
      case rate: return any_policy{limiter};
     case slots: return any_policy{workers};
      case breaker: return any_policy{circuit};
      default: return any_policy{line};
    }
  }

  void expect_balanced() {
    const auto r = limiter.snapshot();
    EXPECT_EQ(r.arrivals(), seen[rate].asked);
    EXPECT_EQ(r.rejected(), seen[rate].rejected);
    EXPECT_EQ(r.cancelled, seen[rate].cancelled);
    EXPECT_EQ(r.admitted, seen[rate].admitted());
    expect_balanced(workers.snapshot(), seen[slots]);
    expect_balanced(queued.snapshot(), seen[queue]);
    EXPECT_EQ(line.snapshot().arrivals(), seen[queue].asked);
    const auto b = circuit.snapshot();
    EXPECT_EQ(b.admitted + b.rejected + b.cancelled, seen[breaker].asked);
    EXPECT_EQ(b.rejected, seen[breaker].rejected);
    EXPECT_EQ(b.cancelled, seen[breaker].cancelled);
    EXPECT_EQ((std::array{b.success, b.failure, b.overload, b.ignored}), seen[breaker].ended);
    EXPECT_EQ(b.in_flight, seen[breaker].in_flight);
  }
  static void expect_balanced(const concurrency_limiter_snapshot& s, const count& c) {
    EXPECT_EQ(s.arrivals(), c.asked);
    EXPECT_EQ(s.rejected(), c.rejected);
    EXPECT_EQ(s.cancelled, c.cancelled);
    EXPECT_EQ((std::array{s.success, s.failure, s.overload, s.ignored}), c.ended);
    EXPECT_EQ(s.calls_in_flight(), c.in_flight);
    EXPECT_EQ(s.slots_in_use, c.slots);
    EXPECT_LE(s.slots_in_use, s.limit);
  }

  manual_clock clock;
  clocked_rate limiter;
  clocked_slots workers;
  clocked_breaker circuit;
  clocked_slots queued;
  clocked_queue line;
  std::array<count, layer_count> seen{};
};

// Uses one chain at random, and counts along.
template <class Chain>
class user {
 public:
  user(world& w, Chain& chain, std::vector<layer_id> order, random_stream& random)
      : world_(w), chain_(chain), order_(std::move(order)), random_(random) {}

  void step() {
    switch (random_.below(8)) {
      case 0:
      case 1:
      case 2: ask(); break;
      case 3:
      case 4: run(); break;
      case 5:
      case 6: finish_one(); break;
      default: move_time(); break;
    }
  }
  void finish_all() {
    while (!held_.empty()) finish_one();
  }

 private:
  struct held {
    typename Chain::permit permit;
    std::uint32_t cost;
  };

  void ask() {
    const auto cost = static_cast<std::uint32_t>(random_.below(4));
    const auto tokens = world_.limiter.snapshot().tokens_approx;
    auto permit = chain_.try_acquire({.cost = cost});
    if (permit) {
      admitted(cost);
      held_.push_back({std::move(*permit), cost});
    } else {
      refused(permit.error());
      EXPECT_EQ(world_.limiter.snapshot().tokens_approx, tokens);
    }
  }

  void run() {
    const auto cost = static_cast<std::uint32_t>(random_.below(4));
    const auto tells = static_cast<outcome>(random_.below(4));
    const bool throws = random_.below(4) == 0;
    bool ran = false;
    const auto f = [&] {
      ran = true;
      admitted(cost);
      world_.clock.advance(random_.between(0ms, 3ms));
      if (throws) throw std::runtime_error{"callee"};
      return scripted_reply{.result = tells};
    };
    try {
      const auto r = chain_.run({.cost = cost}, f);
      EXPECT_EQ(r.has_value(), ran);
      if (!r) return refused(r.error());
      ended(cost, tells);
    } catch (const std::runtime_error&) {
      ended(cost, outcome::failure);
    }
  }

  void finish_one() {
    if (held_.empty()) return;
    std::swap(held_[random_.below(held_.size())], held_.back());
    held last = std::move(held_.back());
    held_.pop_back();
    if (random_.below(2) == 0) {
      auto elsewhere = std::move(last.permit);
      last.permit = std::move(elsewhere);
    }
    const auto how = random_.below(6);
    if (how < 4) {
      last.permit.release(static_cast<outcome>(how));
      ended(last.cost, static_cast<outcome>(how));
    } else if (how == 4) {
      last.permit.cancel();
      for (const layer_id id : order_) {
        count& c = world_.seen[id];
        ++c.cancelled;
        --c.in_flight;
        c.slots -= last.cost;
      }
    } else {
      {
        const auto dropped = std::move(last.permit);
      }
      ended(last.cost, outcome::ignored);
    }
    last.permit.release(outcome::failure);  // too late: the first report counts
    last.permit.cancel();
  }

  void move_time() {
    if (random_.below(5) == 0) {
      world_.clock.set(world_.clock.now() - random_.between(0ms, 300ms));
    } else {
      world_.clock.advance(random_.between(0ms, 60ms));
    }
  }

  void admitted(std::uint32_t cost) {
    for (const layer_id id : order_) {
      ++world_.seen[id].asked;
      ++world_.seen[id].in_flight;
      world_.seen[id].slots += cost;
    }
  }
  void refused(const rejection& why) {
    const layer_id by = world::by_name(why.policy());
    for (const layer_id id : order_) {
      count& c = world_.seen[id];
      ++c.asked;
      if (id == by) {
        ++c.rejected;
        return;
      }
      ++c.cancelled;
    }
    ADD_FAILURE() << why.policy() << " is no layer of this chain";
  }
  void ended(std::uint32_t cost, outcome o) {
    for (const layer_id id : order_) {
      count& c = world_.seen[id];
      ++c.ended[static_cast<std::size_t>(o)];
      --c.in_flight;
      c.slots -= cost;
    }
  }

  world& world_;
  Chain& chain_;
  std::vector<layer_id> order_;
  random_stream& random_;
  std::vector<held> held_;
};

std::vector<layer_id> random_order(random_stream& random) {
  std::vector<layer_id> order{rate, slots, breaker, queue};
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  order.resize(1 + random.below(order.size()));
  return order;
}

TEST(PipelineProperty, RandomChainsOfSharedPoliciesKeepEveryLedger) {
  for (const std::uint64_t seed : weir::testing_support::seeds(150)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "dynamic"};
    world w{random};
    const auto chain_of = [&](const std::vector<layer_id>& order) {
      std::vector<any_policy> stages;
      for (const layer_id id : order) stages.push_back(w.erased(id));
      return stages;
    };
    const auto first_order = random_order(random), second_order = random_order(random);
    dynamic_pipeline first{chain_of(first_order)}, second{chain_of(second_order)};
    user one{w, first, first_order, random}, other{w, second, second_order, random};
    for (int i = 0; i < 150; ++i) {
      random.below(2) == 0 ? one.step() : other.step();
      if (i % 16 == 0) w.expect_balanced();
      if (::testing::Test::HasFailure()) return;
    }
    one.finish_all();
    other.finish_all();
    w.expect_balanced();
    for (const count& c : w.seen) EXPECT_EQ(c.in_flight, 0u);
    if (::testing::Test::HasFailure()) return;
  }
}

template <class Chain>
void use_static(world& w, Chain chain, std::vector<layer_id> order, random_stream& random) {
  user someone{w, chain, std::move(order), random};
  for (int i = 0; i < 150; ++i) {
    someone.step();
    if (i % 16 == 0) w.expect_balanced();
  }
  someone.finish_all();
  w.expect_balanced();
}

TEST(PipelineProperty, StaticChainsKeepEveryLedger) {
  for (const std::uint64_t seed : weir::testing_support::seeds(60)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "static"};
    world w{random};
    use_static(w, pipeline{w.limiter, w.circuit, w.workers}, {rate, breaker, slots}, random);
    use_static(w, pipeline{w.line, w.circuit, w.limiter}, {queue, breaker, rate}, random);
    use_static(w, pipeline{w.circuit, pipeline{w.limiter, w.line}, w.workers}, {breaker, rate, queue, slots}, random);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir
