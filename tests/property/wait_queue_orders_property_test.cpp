// The line in each of its orders against a vector of waiters and code that says what is meant, however slowly: the same
// random history, under a clock that jumps both ways, and the same answers at every step.
#include <weir/core/random.hpp>
#include <weir/queue/wait_queue_core.hpp>

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
using weir::duration;
using weir::errc;
using weir::later;
using weir::never;
using weir::queue_discipline;
using weir::queue_order;
using weir::tenant_share;
using weir::time_point;
using weir::wait_node;
using weir::wait_outcome;

struct waiter : wait_node {
  waiter() {
    complete = [](wait_node& node, wait_outcome how) noexcept {
      auto& self = static_cast<waiter&>(node);
      EXPECT_FALSE(self.answer) << "completed twice";
      self.answer = how;
    };
  }
  std::optional<wait_outcome> answer;
};
using waiters = std::vector<waiter*>;

/// When the line has been overloaded, from all that ever happened to its oldest.
class overload_model {
 public:
  void oldest_is(time_point since, time_point now) { changes_.push_back({now, since}); }

  bool is_on(time_point now, duration target, duration interval) const {
    bool on = false;
    time_point late = never;  // since when, if it is
    time_point calm = time_point::min();
    for (std::size_t i = 0; i < changes_.size(); ++i) {
      const time_point begin = changes_[i].at, end = i + 1 < changes_.size() ? changes_[i + 1].at : now;
      const time_point above = changes_[i].oldest == never ? never : changes_[i].oldest + target;
      if (above >= begin) {  // calm until then
        if (late != never) calm = begin;
        late = never;
        if (weir::elapsed(calm, std::min(above, end)) >= interval) on = false;
      }
      if (above < end) {
        late = std::min(late, above);
        if (end - late >= interval) on = true;
      }
    }
    return on;
  }

 private:
  struct change {
    time_point at, oldest;
  };
  std::vector<change> changes_;
};

/// Deficit round robin with vectors.
class tenants_model {
 public:
  struct tenant {
    tenant_share share;
    std::uint64_t in_use = 0, deficit = 0;
    bool in_turn = false;
  };

  explicit tenants_model(const queue_discipline& d) {
    all.push_back({.share = d.others});
    for (const auto& share : d.tenants) all.push_back({.share = share});
  }
  std::size_t of(std::uint32_t id) const {
    for (std::size_t i = 1; i < all.size(); ++i) {
      if (all[i].share.tenant == id) return i;
    }
    return 0;
  }
  waiter* head(std::size_t t, const waiters& line) const {
    for (waiter* w : line) {
      if (of(w->tenant) == t) return w;
    }
    return nullptr;
  }
  std::uint64_t unfilled(std::size_t t) const {
    return all[t].share.reserved > all[t].in_use ? all[t].share.reserved - all[t].in_use : 0;
  }
  bool below_cap(std::size_t t, std::uint32_t cost) const {
    return all[t].share.max_in_use == tenant_share::unlimited || all[t].in_use + cost <= all[t].share.max_in_use;
  }
  /// What would be free is at least what the others have reserved and do not use.
  bool leaves_reservations(std::size_t t, std::uint32_t cost) const {
    std::uint64_t used = cost, others = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      used += all[i].in_use;
      if (i != t) others += unfilled(i);
    }
    return used + others <= slots;
  }
  bool may_take(std::uint32_t id, std::uint32_t cost) const {
    return below_cap(of(id), cost) && leaves_reservations(of(id), cost);
  }

  /// How many could be served one after the other, if each cost 1.
  std::uint32_t servable(const waiters& line) const {
    tenants_model then = *this;
    std::uint32_t served = 0;
    for (const waiter* w : line) {
      if (!then.may_take(w->tenant, 1)) continue;
      ++then.all[then.of(w->tenant)].in_use;
      ++served;
    }
    return served;
  }

  /// After each single change: whose lane has something to serve now, and whose has not.
  void update(const waiters& line) {
    for (std::size_t t = 0; t < all.size(); ++t) {
      waiter* first = head(t, line);
      if (first == nullptr) all[t].deficit = 0, all[t].in_turn = false;
      enter(turns, t, first != nullptr && below_cap(t, first->cost), all[t].in_turn);
      enter(claims, t, first != nullptr && below_cap(t, first->cost) && unfilled(t) > 0 && first->cost <= unfilled(t),
            false);
      round = std::min(round, turns.size());
      if (turns.empty()) largest = 1;
    }
  }
  waiter* pick(const waiters& line) {
    if (!claims.empty()) return head(claims.front(), line);
    while (!turns.empty()) {
      const std::size_t t = turns.front();
      waiter* first = head(t, line);
      const std::uint64_t price = std::max(first->cost, 1u);
      if (!all[t].in_turn) {
        if (round == 0) quantum = std::exchange(largest, 1), round = turns.size();
        --round;
        all[t].deficit += all[t].share.weight * quantum;
        all[t].in_turn = true;
      }
      largest = std::max(largest, price);
      if (price <= all[t].deficit) return leaves_reservations(t, first->cost) ? first : nullptr;
      all[t].in_turn = false;
      std::rotate(turns.begin(), turns.begin() + 1, turns.end());
    }
    return nullptr;
  }
  void served(const waiter& w) {
    if (!claims.empty()) {
      std::rotate(claims.begin(), claims.begin() + 1, claims.end());
    } else {
      all[of(w.tenant)].deficit -= std::max(w.cost, 1u);
    }
  }

  std::vector<tenant> all;
  std::vector<std::size_t> turns, claims;
  std::uint64_t quantum = 1, largest = 1, slots = ~std::uint32_t{0};
  std::size_t round = 0;

 private:
  static void enter(std::vector<std::size_t>& list, std::size_t t, bool belongs, bool first) {
    const auto found = std::find(list.begin(), list.end(), t);
    if (belongs && found == list.end()) list.insert(first ? list.begin() : list.end(), t);
    if (!belongs && found != list.end()) list.erase(found);
  }
};

class model {
 public:
  model(const queue_discipline& d, std::uint32_t places) : discipline(d), capacity(places), tenants(d) { adopt(d); }

  void adopt(const queue_discipline& d) {
    discipline = d;
    tenants = tenants_model{d};
    overload = {};
    interval_ends = !d.codel.on ? never : now == time_point::min() ? now : now + d.codel.interval;
    slow = false;
    granted.clear();
    // As if they came one after the other.
    const waiters all = std::exchange(line, {});
    for (waiter* w : all) line.push_back(w), changed();
  }

  time_point pass(time_point t) {
    now = std::max(now, t);
    if (now >= interval_ends) {
      const duration target = discipline.codel.target;
      if (granted.empty() || weir::elapsed(interval_ends, now) >= discipline.codel.interval) {
        slow = !line.empty() && now - line.front()->enqueued > target;
      } else {
        slow = *std::min_element(granted.begin(), granted.end()) > target;
      }
      granted.clear();
      interval_ends = now + discipline.codel.interval;
    }
    return now;
  }

  errc enqueue(waiter& w, time_point t) {
    pass(t);
    if (closed) return errc::closed;
    if (w.deadline <= now) return errc::expired;
    if (line.size() >= capacity) return errc::queue_full;
    if (discipline.order == queue_order::tenants) {
      const std::size_t lane = tenants.of(w.tenant);
      const auto waiting =
          std::count_if(line.begin(), line.end(), [&](waiter* o) { return tenants.of(o->tenant) == lane; });
      if (waiting >= tenants.all[lane].share.max_waiting) return errc::quota;
    }
    w.enqueued = now;
    line.push_back(&w);
    changed();
    return {};
  }

  void remove(waiter& w) {
    line.erase(std::find(line.begin(), line.end(), &w));
    changed();
  }
  void changed() {
    overload.oldest_is(line.empty() ? never : line.front()->enqueued, now);
    if (discipline.order == queue_order::tenants) tenants.update(line);
  }

  /// Who leaves now, and how, unless he is the one to be served.
  std::optional<wait_outcome> leaves(const waiter& w) const {
    if (w.deadline <= now) return wait_outcome::timed_out;
    if (slow && now - w.enqueued > 2 * discipline.codel.target) return wait_outcome::shed;
    return std::nullopt;
  }

  waiter* next() {
    if (line.empty()) return nullptr;
    switch (discipline.order) {
      case queue_order::fifo: return line.front();
      case queue_order::lifo: return line.back();
      case queue_order::adaptive_lifo:
        return overload.is_on(now, discipline.codel.target, discipline.codel.interval) ? line.back() : line.front();
      case queue_order::priority:
        return *std::min_element(line.begin(), line.end(), [&](waiter* a, waiter* b) { return key(*a) < key(*b); });
      case queue_order::tenants: return tenants.pick(line);
    }
    return nullptr;
  }

  time_point next_event() const {
    if (line.empty()) return never;
    time_point next = interval_ends;
    for (const waiter* w : line) next = std::min(next, w->deadline);
    if (slow) next = std::min(next, line.front()->enqueued + 2 * discipline.codel.target + 1ns);
    return next;
  }

  queue_discipline discipline;
  std::uint32_t capacity;
  waiters line;  // as they came
  tenants_model tenants;
  overload_model overload;
  time_point now = time_point::min(), interval_ends = never;
  std::vector<duration> granted;  // in this interval: how long they had waited
  bool slow = false, closed = false;

 private:
  std::pair<time_point, std::uint32_t> key(const waiter& w) const {
    const std::uint32_t level = std::min<std::uint32_t>(w.priority, 7);
    return {w.enqueued + level * discipline.aging, level};
  }
};

class history {
 public:
  history(queue_order order, std::uint64_t seed)
      : random_{seed, "orders"},
        model_{random_discipline(order), below(15)},
        core_{model_.capacity, {.on = false}, model_.discipline} {
    set_slots();
  }

  void run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE(i);
      step();
      compare();
    }
    finish([&] { core_.close(clock_, out_), model_.pass(clock_); });
    for (const auto& w : all_) EXPECT_NE(w.where, wait_node::state::waiting);
    EXPECT_EQ(core_.next_event(), never);
  }
  int served() const { return served_; }
  int turned_round() const { return turned_round_; }
  int shed() const { return shed_; }
  int nobody_may() const { return nobody_may_; }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_.below(n)); }
  bool by_tenants() const { return model_.discipline.order == queue_order::tenants; }

  queue_discipline random_discipline(queue_order order) {
    queue_discipline d{.order = order};
    d.codel = {.on = below(2) == 0,
               .target = std::chrono::milliseconds{5 + below(40)},
               .interval = std::chrono::milliseconds{20 + below(100)}};
    d.aging = std::chrono::milliseconds{below(30)};
    const auto share = [&](std::uint32_t id) {
      tenant_share s{.tenant = id, .weight = 1 + below(4)};
      if (below(2) == 0) s.reserved = below(3);
      if (below(2) == 0) s.max_in_use = 4 + below(4);  // nobody costs more
      if (below(3) == 0) s.max_waiting = below(4);
      return s;
    };
    for (std::uint32_t id = 1; id < 5; ++id) d.tenants.push_back(share(id * 7));
    d.others = share(0);
    return d;
  }
  void set_slots() {
    if (!by_tenants()) return;
    // Room for the reservations and the most costly call.
    model_.tenants.slots = reserved_by_all(model_.discipline) + 4 + below(4);
    core_.set_capacity_of_owner(static_cast<std::uint32_t>(model_.tenants.slots));
  }

  void step() {
    const std::uint32_t dice = below(100);
    if (dice < 35) return enqueue();
    if (dice < 55) return grant();
    if (dice < 65) return leave(below(2) == 0);
    if (dice < 72) return clear([&] { core_.expire(clock_, out_), model_.pass(clock_); });
    if (dice < 92) return move_clock();
    if (dice < 98) return by_tenants() ? give_back() : static_cast<void>(grant());
    if (dice < 99) return reconfigure();
    if (below(25) == 0) {
      finish([&] { core_.close(clock_, out_), model_.pass(clock_); });
      model_.closed = true;
    } else if (below(5) == 0) {
      finish([&] { core_.shed_all(clock_, out_), model_.pass(clock_); });
    }
  }

  void move_clock() {
    const auto by = std::chrono::microseconds{below(30'000)};
    const std::uint32_t dice = below(20);
    clock_ += dice == 0 ? 5 * by : dice < 4 ? -by : by;
  }

  void enqueue() {
    waiter& w = all_.emplace_back();
    w.cost = below(3) == 0 ? below(4) : 1;
    w.tenant = 7 * below(7);
    w.priority = static_cast<std::uint8_t>(below(10));
    if (below(4) != 0) w.deadline = clock_ + (below(2) == 0 ? 150ms : std::chrono::milliseconds{below(200)});
    const errc expected = model_.enqueue(w, clock_);
    const auto answer = core_.enqueue(w, clock_);
    ASSERT_EQ(answer.value_or(errc{}), expected);
    ASSERT_TRUE(answer || w.enqueued == model_.now);
  }

  void grant() {
    wait_node* front = nullptr;
    clear([&] { model_.pass(clock_), front = core_.front(clock_, out_); });
    waiter* expected = model_.next();
    ASSERT_EQ(front, expected);
    if (expected == nullptr) {
      nobody_may_ += !model_.line.empty();
      ASSERT_EQ(core_.grant(clock_, out_), nullptr);
      return;
    }
    turned_round_ += model_.discipline.order == queue_order::adaptive_lifo && expected != model_.line.front();
    ASSERT_GT(expected->deadline, model_.now);
    ASSERT_EQ(core_.grant(clock_, out_), expected) << "what front has said";
    ASSERT_EQ(out_.front(), out_.back());
    weir::complete_all(out_);
    ASSERT_EQ(expected->answer, wait_outcome::granted);
    ++served_;
    model_.granted.push_back(model_.now - expected->enqueued);
    if (by_tenants()) model_.tenants.served(*expected);
    model_.remove(*expected);
    if (by_tenants()) use(*expected);
  }

  void use(const waiter& w) {
    ASSERT_TRUE(model_.tenants.may_take(w.tenant, w.cost)) << "neither above a cap nor into what others have reserved";
    core_.took(w.tenant, w.cost);
    model_.tenants.all[model_.tenants.of(w.tenant)].in_use += w.cost;
    model_.tenants.update(model_.line);
    used_.emplace_back(w.tenant, w.cost);
  }
  void give_back() {
    if (used_.empty() || below(6) == 0) {
      const std::uint32_t tenant = 7 * below(7), cost = below(3);
      ASSERT_EQ(core_.may_take(tenant, cost), model_.tenants.may_take(tenant, cost));
      return;
    }
    const auto [tenant, cost] = std::exchange(used_[below(static_cast<std::uint32_t>(used_.size()))], used_.back());
    used_.pop_back();
    core_.gave_back(tenant, cost);
    model_.tenants.all[model_.tenants.of(tenant)].in_use -= cost;
    model_.tenants.update(model_.line);
  }

  void leave(bool completed) {
    if (all_.empty()) return;
    waiter& w = all_[below(static_cast<std::uint32_t>(all_.size()))];
    const bool waits = std::find(model_.line.begin(), model_.line.end(), &w) != model_.line.end();
    // Who has left before says nothing about the time.
    if (waits) model_.pass(clock_);
    ASSERT_EQ(completed ? core_.cancel(w, clock_, out_) : core_.unlink(w, clock_), waits);
    if (waits) model_.remove(w);
    weir::complete_all(out_);
    const auto expected = waits && completed ? std::optional{wait_outcome::cancelled} : std::nullopt;
    ASSERT_TRUE(!waits || w.answer == expected);
  }

  void reconfigure() {
    // Who reports what is in use keeps the order; the others try them all.
    if (by_tenants()) return;
    const queue_discipline to = random_discipline(static_cast<queue_order>(below(4)));
    model_.capacity = below(15);
    weir::wait_queue_storage storage{model_.capacity, to};
    core_.reconfigure(model_.capacity, {.on = false}, to, storage);
    model_.adopt(to);
  }

  /// `act` ends all waits whose time is up or who are to be shed, and no others.
  template <class Act>
  void clear(Act act) {
    act();
    waiters gone;
    for (wait_node* node = out_.front(); node != nullptr; node = out_.after(*node))
      gone.push_back(static_cast<waiter*>(node));
    for (waiter* w : gone) {
      ASSERT_EQ(model_.leaves(*w), w->ended);
      shed_ += w->ended == wait_outcome::shed;
      model_.remove(*w);
    }
    for (waiter* w : model_.line) ASSERT_FALSE(model_.leaves(*w)) << "left behind";
    weir::complete_all(out_);
  }
  /// `act` ends all waits.
  template <class Act>
  void finish(Act act) {
    act();
    while (waiter* w = static_cast<waiter*>(out_.front())) {
      EXPECT_EQ(w, model_.line.front()) << "the oldest first";
      model_.remove(*w);
      out_.pop_front();
      w->complete(*w, w->ended);
    }
    EXPECT_TRUE(model_.line.empty());
  }

  void compare() {
    ASSERT_EQ(core_.size(), model_.line.size());
    ASSERT_EQ(core_.next_event(), model_.next_event());
    std::uint64_t cost = 0;
    for (const waiter* w : model_.line) cost += w->cost;
    ASSERT_EQ(core_.waiting_cost(), cost);
    ASSERT_EQ(core_.is_slow(), model_.slow);
    ASSERT_EQ(core_.servable(), by_tenants() ? model_.tenants.servable(model_.line) : model_.line.size());
    for (std::size_t t = 0; by_tenants() && t < model_.tenants.all.size(); ++t) {
      ASSERT_TRUE(model_.tenants.below_cap(t, 0));
      ASSERT_TRUE(model_.tenants.leaves_reservations(t, 0));
      ASSERT_EQ(core_.in_use(model_.tenants.all[t].share.tenant), model_.tenants.all[t].in_use);
    }
  }

  weir::random_stream random_;
  time_point clock_{1h};
  model model_;
  weir::wait_queue_core core_;
  weir::ready_list out_;
  std::deque<waiter> all_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> used_;
  int served_ = 0, turned_round_ = 0, shed_ = 0, nobody_may_ = 0;
};

class wait_queue_orders_property : public ::testing::Test {
 protected:
  struct seen {
    int served = 0, turned_round = 0, shed = 0, nobody_may = 0;
  };
  static seen run(queue_order order) {
    seen all;
    for (const std::uint64_t seed : weir::testing_support::seeds(150)) {
      SCOPED_TRACE(seed);
      history one{order, seed};
      one.run(300);
      if (HasFailure()) return all;
      all.served += one.served(), all.turned_round += one.turned_round(), all.shed += one.shed();
      all.nobody_may += one.nobody_may();
    }
    // Else the histories would say little.
    EXPECT_GT(all.served, 2000);
    EXPECT_GT(all.shed, 300);
    return all;
  }
};

TEST_F(wait_queue_orders_property, fifo) { run(queue_order::fifo); }
TEST_F(wait_queue_orders_property, lifo) { run(queue_order::lifo); }
TEST_F(wait_queue_orders_property, adaptive_lifo) { EXPECT_GT(run(queue_order::adaptive_lifo).turned_round, 100); }
TEST_F(wait_queue_orders_property, priority) { run(queue_order::priority); }
TEST_F(wait_queue_orders_property, tenants) { EXPECT_GT(run(queue_order::tenants).nobody_may, 100); }

// A line that is never empty, slots that come back in any order, waiters that give up: in the long run each tenant gets its
// weight's share of all that is handed out. (A tenth of the weights: at least 9 %.)
TEST_F(wait_queue_orders_property, tenants_get_their_shares_under_saturation) {
  for (const std::uint64_t seed : weir::testing_support::seeds(40)) {
    SCOPED_TRACE(seed);
    weir::random_stream random{seed, "shares"};
    const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random.below(n)); };
    queue_discipline d{.order = queue_order::tenants, .tenants = {{.tenant = 0, .weight = 1}}};
    for (std::uint32_t left = 9; left > 0; left -= d.tenants.back().weight) {
      d.tenants.push_back({.tenant = static_cast<std::uint32_t>(d.tenants.size()), .weight = 1 + below(left)});
    }
    weir::wait_queue_core core{1000, {.on = false}, d};
    const std::uint32_t slots = 1 + below(8), dearest = 1 + below(3);
    core.set_capacity_of_owner(slots * dearest);
    std::deque<waiter> all;
    std::vector<const waiter*> holders;
    std::vector<std::uint32_t> served(d.tenants.size());
    weir::ready_list out;
    const auto join = [&](std::uint32_t tenant) {
      waiter& w = all.emplace_back();
      w.tenant = tenant;
      w.cost = 1 + below(dearest);
      ASSERT_FALSE(core.enqueue(w, time_point{}));
    };
    for (std::uint32_t i = 0; i < 40; ++i) {
      for (const auto& share : d.tenants) join(share.tenant);
    }
    std::uint32_t total = 0;
    while (total < 4000) {
      if (holders.size() < slots) {
        auto* w = static_cast<waiter*>(core.grant(time_point{}, out));
        ASSERT_NE(w, nullptr);
        core.took(w->tenant, w->cost);
        holders.push_back(w);
        served[w->tenant] += w->cost;
        total += w->cost;
        join(w->tenant);
      } else {
        std::swap(holders[below(slots)], holders.back());
        core.gave_back(holders.back()->tenant, holders.back()->cost);
        holders.pop_back();
      }
      if (waiter& w = all[below(static_cast<std::uint32_t>(all.size()))];
          below(4) == 0 && core.cancel(w, time_point{}, out)) {
        join(w.tenant);
      }
      weir::complete_all(out);
    }
    for (const auto& share : d.tenants) EXPECT_GE(served[share.tenant] * 10, total * share.weight * 9 / 10) << share.tenant;
    core.close(time_point{}, out);
    weir::complete_all(out);
    if (HasFailure()) return;
  }
}

}  // namespace
