#pragma once
// Users of a pool on Asio, in one thread and in virtual time: after every step the pool is checked against their books.
#include "faulty_backend.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <deque>
#include <vector>

namespace weir::testing_support {

using faulty_state = detail::asio_pool_state<faulty, asio::any_io_executor, manual_clock, null_observer>;

// A virtual clock rings no timer of Asio's, so the test does what the timer would, when it would: by what is private of the
// pool, which an explicit instantiation may name. false: it is armed for later.
std::shared_ptr<faulty_state>& state_of(faulty_pool& pool);
time_point& armed_for(faulty_state& state);
void woke(faulty_state& state);
template <auto Member>
struct private_state {
  friend std::shared_ptr<faulty_state>& state_of(faulty_pool& pool) { return pool.*Member; }
};
template <auto Member>
struct private_time {
  friend time_point& armed_for(faulty_state& state) { return state.*Member; }
};
template <auto Member>
struct private_call {
  friend void woke(faulty_state& state) { (state.*Member)(); }
};
template struct private_state<&faulty_pool::state_>;
template struct private_time<&faulty_state::armed_for_>;
template struct private_call<&faulty_state::woke>;

inline bool ring_if_due(faulty_pool& pool, time_point now) {
  faulty_state& state = *state_of(pool);
  if (armed_for(state) > now) return false;
  armed_for(state) = never;
  woke(state);
  state.see_time();
  return true;
}

class virtual_pool_users {
 public:
  explicit virtual_pool_users(std::uint64_t seed) : random_(seed, "asio pool"), wire_(seed) {
    config_ = config();
    wire_.fates = random_.below(2) == 0 ? 12 : 100;
    wire_.most = static_cast<int>(allowed_ = config_.max_size);
    if (flip()) io_ = &users_context_.emplace(1);
    pool_.emplace(context_->get_executor(), faulty{&wire_}, config_, null_observer{}, clock_);
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      step();
      check();
    }
    switch (random_.below(4)) {
      case 0: close_at_once(); break;
      case 1: context_goes(); break;
      default: wind_up(); break;
    }
    EXPECT_EQ(wire_.alive, 0) << "connections are left";
    EXPECT_EQ(wire_.token.use_count(), 1) << "the pool has not gone";
    EXPECT_EQ(wire_.shared, 0) << "two users of one connection";
    for (const patient& p : patients_) EXPECT_EQ(p.ends, 1) << "waited for the pool as a whole";
    for (const op& o : ops_) {
      EXPECT_TRUE(o.ends == 1 || o.number == 0)
          << "call " << o.number << " ended " << o.ends << " times";  // 0: never asked
    }
  }
  [[nodiscard]] std::uint64_t asked() const { return own_.asked; }
  [[nodiscard]] std::uint64_t granted() const { return own_.granted; }
  [[nodiscard]] std::uint64_t warm() const { return warm_; }
  [[nodiscard]] int aborted() const { return wire_.aborted; }

 private:
  // Longer than the test runs, so that no timer of Asio's rings but for the test.
  static constexpr duration unit = 1min;

  /// One call, from asking to the end of what its user does.
  struct op {
    std::uint64_t number = 0;
    std::uint32_t kind = 0;  // those of one kind are served in order
    time_point deadline = never;
    int ends = 0;
    bool granted = false, asking = false, overtook = false, late = false, shut = false, in_coroutine = false,
         signalling = false;
    std::uint64_t turn = 0;  // in which it asked
    int age = 0;             // of the pool when the answer was sent
    op* inner = nullptr;     // what its coroutine asks for meanwhile
    asio::cancellation_signal signal;
    wait_handle handle;
  };

  /// Notes when the answer to a call is sent on its way.
  class noting_executor {
   public:
    noting_executor(virtual_pool_users* w, op* o) : world_(w), op_(o) {}
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
      return asio::execution::blocking.never;
    }
    [[nodiscard]] asio::execution_context& query(asio::execution::context_t) const noexcept { return *world_->io_; }
    template <class F>
    void execute(F&& f) const {
      op* o = op_;
      while (o->inner != nullptr) o = o->inner;
      if (o->asking && !op_->signalling) world_->answer_sent(*o);
      asio::require(world_->io_->get_executor(), asio::execution::blocking.never).execute(std::forward<F>(f));
    }
    friend bool operator==(const noting_executor&, const noting_executor&) noexcept = default;

   private:
    virtual_pool_users* world_;
    op* op_;
  };

  /// A handler that has to be called or destroyed, once.
  struct receiver {
    using executor_type = asio::any_io_executor;
    using cancellation_slot_type = asio::cancellation_slot;

    receiver(virtual_pool_users* w, op* o) : world(w), o(o), executor(noting_executor{w, o}) {}
    receiver(receiver&& other) noexcept
        : world(other.world), o(std::exchange(other.o, nullptr)), executor(other.executor) {}
    ~receiver() {
      if (o != nullptr) world->ended(*o);
    }
    [[nodiscard]] executor_type get_executor() const noexcept { return executor; }
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return o->signal.slot(); }
    void operator()(faulty_answer a) {
      world->answered(*o, a);
      world->ended(*std::exchange(o, nullptr));
      if (!a) return;
      user_of user{std::move(*a)};
      const auto next = world->random_.below(8);
      if (next == 0) throw 1;
      if (next != 1) world->users_.push_back(std::move(user));
    }

    virtual_pool_users* world;
    op* o;
    asio::any_io_executor executor;
  };

  /// One who waits until so many are open.
  struct patient {
    int ends = 0;
    asio::cancellation_signal signal;
  };
  struct patience {
    using executor_type = asio::any_io_executor;
    using cancellation_slot_type = asio::cancellation_slot;

    patience(virtual_pool_users* w, patient* p, std::uint32_t n) : world(w), who(p), wanted(n) {}
    patience(patience&& other) noexcept
        : world(other.world), who(std::exchange(other.who, nullptr)), wanted(other.wanted) {}
    ~patience() {
      if (who != nullptr) ++who->ends;
    }
    [[nodiscard]] executor_type get_executor() const noexcept { return world->io_->get_executor(); }
    [[nodiscard]] cancellation_slot_type get_cancellation_slot() const noexcept { return who->signal.slot(); }
    void operator()(const pool_result<std::uint32_t>& r) {
      ++std::exchange(who, nullptr)->ends;
      if (!r) return;
      hold(*r >= wanted, "ready with too few");
      ++world->warm_;
    }

    virtual_pool_users* world;
    patient* who;
    std::uint32_t wanted;
  };

  template <class T>
  auto any_of(std::list<T>& list) {
    return std::next(list.begin(), static_cast<std::ptrdiff_t>(random_.below(list.size())));
  }
  bool flip() { return random_.below(2) == 0; }
  duration units(std::uint64_t below) { return unit * static_cast<std::int64_t>(random_.below(below)); }

  pool_config config() {
    const auto tenants =
        std::vector<tenant_share>{{.tenant = 0, .weight = 3}, {.tenant = 1, .max_in_use = 2, .max_waiting = 4}};
    pool_config c{.max_size = 1 + static_cast<std::uint32_t>(random_.below(6)),
                  .endpoints = 1 + static_cast<std::uint32_t>(random_.below(2)),
                  .order = flip() ? idle_order::lifo : idle_order::fifo,
                  .acquire_timeout = 5 * unit + units(100),
                  .max_waiters = 5 + static_cast<std::uint32_t>(random_.below(20)),
                  .waiting = {.order = static_cast<queue_order>(random_.below(3) == 0 ? random_.below(5) : 0),
                              .codel = {.on = random_.below(4) == 0, .target = 2 * unit, .interval = 5 * unit},
                              .aging = 5 * unit,
                              .tenants = tenants},
                  .predict = flip(),
                  .connect_timeout = 20 * unit,
                  .validate_after_idle = units(8),
                  .validate_timeout = 10 * unit,
                  .keepalive = 40 * unit,
                  .max_lifetime = 200 * unit,
                  .idle_timeout = 60 * unit,
                  .reset_on_return = flip(),
                  .reset_timeout = 10 * unit,
                  .close_timeout = 10 * unit,
                  .on_down = flip() ? when_down::fail_fast : when_down::wait,
                  .down_after = 1 + static_cast<std::uint32_t>(random_.below(3)),
                  .probe = {.initial = probe_every, .multiplier = 1, .cap = probe_every, .jitter = jitter_kind::none},
                  .leak_after = 4 * unit,
                  .leak_reclaim = flip() ? 3 * unit : duration::max(),
                  .seed = random_()};
    c.min_size = static_cast<std::uint32_t>(random_.below(c.max_size + 1));
    c.max_connecting = static_cast<std::uint32_t>(random_.below(c.max_size + 1));
    return c;
  }
  static constexpr duration probe_every = 5 * unit;

  // ---- what happens

  void step() {
    ++turn_;
    switch (random_.below(36)) {
      case 32:
      case 33:
      case 34:
      case 35: one_is_done(); break;
      case 0:
      case 1:
      case 2:
      case 3: ask(); break;
      case 4:
      case 5:
      case 6:
      case 7:
      case 8: spawn(); break;
      case 9: try_once(); break;
      case 10:
      case 11:
      case 12:
      case 13:
      case 14:
      case 15: poll(1); break;
      case 16: poll(1000); break;
      case 17:
      case 18:
      case 19:
      case 20: one_is_done(); break;
      case 21:
      case 22: open_a_gate(random_.below(4) != 0); break;
      case 23: cancel_one(); break;
      case 24:
      case 25:
      case 26: move_clock(units(4)); break;
      case 27: move_clock(-units(6)); break;
      case 28:
        if (random_.below(12) == 0) move_clock(flip() ? units(500) : -units(500));
        break;
      case 29:
      case 30: ring(); break;
      default: operate(); break;
    }
  }

  call any_call() {
    call c{.tenant = static_cast<std::uint32_t>(random_.below(3)), .priority = static_cast<std::uint8_t>(random_.below(3))};
    if (const auto kind = random_.below(4); kind != 0) c.deadline = clock_.now() + units(kind == 1 ? 2 : 40);
    return c;
  }
  op& new_op(const call& c) {
    op& o = ops_.emplace_back();
    if (config_.waiting.order == queue_order::priority) o.kind = c.priority;
    if (config_.waiting.order == queue_order::tenants) o.kind = std::min(c.tenant, 2u);
    o.deadline = c.deadline;
    return o;
  }

  void ask() {
    const call c = any_call();
    op& o = new_op(c);
    asks(o);
    if (flip()) {
      pool_->async_acquire(c, receiver{this, &o});
    } else {
      pool_->async_acquire(c, o.handle, receiver{this, &o});
    }
  }
  void try_once() {
    const call c = any_call();
    op& o = new_op(c);
    asks(o);
    faulty_answer a = pool_->try_acquire(c);
    answered(o, a);
    ended(o);
    if (a) users_.emplace_back(std::move(*a));
  }
  void spawn() {
    const call c = any_call();
    op& o = new_op(c);
    o.in_coroutine = true;
    asio::co_spawn(noting_executor{this, &o}, visit(o, c), asio::bind_cancellation_slot(o.signal.slot(), asio::detached));
  }

  /// Asks, and uses what it gets, with a suspension wherever there can be one; cancelled at any of them.
  asio::awaitable<void> visit(op& o, call c) {
    struct at_end {
      ~at_end() {
        if (o->asking && o->turn == world->turn_) world->never_asked(*o);  // cancelled before it came to that
        o->asking = false;
        world->ended(*o);
      }
      virtual_pool_users* world;
      op* o;
    };
    const at_end leaving{this, &o};
    if (random_.below(4) == 0) co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    if (!pool_) co_return;
    asks(o);
    faulty_answer a = co_await pool_->co_acquire(c);
    answered(o, a);
    if (!a) co_return;
    user_of user{std::move(*a)};
    for (auto turns = random_.below(3); turns > 0; --turns) {
      if (random_.below(6) == 0) throw std::runtime_error("a user's own");
      if (random_.below(6) == 0 && o.inner == nullptr && pool_) {
        const call another = any_call();
        o.inner = &new_op(another);
        o.inner->in_coroutine = true;
        struct no_more {
          ~no_more() { o->inner = nullptr; }
          op* o;
        };
        const no_more when_done{&o};
        co_await visit(*o.inner, another);
      } else {
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      }
    }
    if (random_.below(8) != 0) user.finish(wire_);
  }

  void poll(std::size_t handlers) {
    for (std::size_t done = 0; done < handlers; ++done) {
      ++turn_;
      try {
        const bool users_first = flip();
        if (poll_one(users_first ? users_context_ : context_) != 0) continue;
        if (poll_one(users_first ? context_ : users_context_) == 0) return;
      } catch (int) {
        // A handler's own.
      }
    }
  }
  static std::size_t poll_one(std::optional<asio::io_context>& context) {
    if (!context) return 0;
    context->restart();
    return context->poll_one();
  }
  void one_is_done() {
    if (users_.empty()) return;
    const auto at = any_of(users_);
    user_of user = std::move(*at);
    users_.erase(at);
    user.finish(wire_);
  }
  void open_a_gate(bool well) {
    if (wire_.gates.empty()) return;
    wire::gate& gate = **any_of(wire_.gates);
    gate.opened = true;
    gate.ends_well = well;
    gate.timer.cancel();
  }
  void cancel_one() {
    if (ops_.empty()) return;
    // Mostly one of the latest, which have not ended yet.
    op& o = ops_[ops_.size() - 1 - random_.below(std::min<std::size_t>(ops_.size(), 20))];
    if (o.ends != 0) return;
    if (flip() && o.handle.cancel()) hold(!o.asking, "cancelled, and waits on");
    o.signalling = o.in_coroutine;  // which posts the signal to itself first
    o.signal.emit(asio::cancellation_type::terminal);
    hold(o.in_coroutine || !o.asking, "cancelled, and waits on");
    o.signalling = false;
  }
  void move_clock(duration by) {
    clock_.set(clock_.now() + by);
    latest_ = std::max(latest_, clock_.now());
  }
  void ring() {
    if (ring_if_due(*pool_, clock_.now())) rung_ = std::max(rung_, clock_.now());
  }
  void operate() {
    switch (random_.below(10)) {
      case 8: return get_ready();
      case 9:
        if (!patients_.empty()) patients_.back().signal.emit(asio::cancellation_type::terminal);
        return;
      case 0: suspended_ = true; return pool_->suspend();
      case 1:
      case 2: suspended_ = false; return pool_->resume();
      case 3: ++wire_.age; return pool_->invalidate();
      case 4: {
        pool_config c = config();
        c.endpoints = config_.endpoints;
        c.order = config_.order;
        c.waiting = config_.waiting;
        allowed_ = std::max(allowed_, c.max_size);
        wire_.most = static_cast<int>(allowed_);
        EXPECT_FALSE(pool_->reconfigure(c));
        config_ = c;
        return;
      }
      case 5: wire_.outage = true; return;
      default: wire_.outage = false; return;
    }
  }

  void get_ready() {
    const auto wanted = static_cast<std::uint32_t>(random_.below(config_.max_size + 2));
    pool_->async_ready(wanted, flip() ? never : clock_.now() + units(40),
                       patience{this, &patients_.emplace_back(), wanted});
  }

  // ---- the books

  void asks(op& o) {
    ++own_.asked;
    o.number = ++numbers_;
    o.deadline = std::min(o.deadline, latest_ + config_.acquire_timeout);
    o.asking = true;
    o.turn = turn_;
    lines_[o.kind].push_back(&o);
  }
  void never_asked(op& o) {
    --own_.asked;
    o.asking = false;
  }
  /// Should it be a grant: of whether it comes too late, or before that of somebody who asked earlier.
  void answer_sent(op& o) {
    o.asking = false;
    o.shut = suspended_ || closed_;
    o.age = wire_.age;
    // A call that finds a connection open need not know what time others have seen.
    o.late = (o.turn == turn_ ? clock_.now() : std::max(rung_, clock_.now())) >= o.deadline;
    auto& line = lines_[o.kind];
    while (!line.empty() && !line.front()->asking) line.pop_front();
    const auto order = config_.waiting.order;
    const bool ordered = order != queue_order::lifo && order != queue_order::adaptive_lifo;
    o.overtook = ordered && !line.empty() && line.front()->number < o.number;
  }
  void answered(op& o, const faulty_answer& a) {
    if (o.asking) answer_sent(o);
    if (!a) {
      ++own_.refused[static_cast<std::size_t>(a.error().code().value())];
      return;
    }
    ++own_.granted;
    o.granted = true;
    hold(!o.shut, "granted while the pool was suspended or closed");
    hold((*a)->age() >= o.age, "granted what had been invalid before");
    hold(!o.late, "granted when its time was up");
    hold(!o.overtook, "overtook one who asked earlier");
  }
  void ended(op& o) { ++o.ends; }
  static void hold(bool what, const char* why) {
    if (!what) ADD_FAILURE() << why;
  }

  void check() {
    const pool_snapshot s = pool_->snapshot();
    const std::uint32_t total = s.now.total();
    hold(total <= allowed_, "more places taken than max_size");
    hold(wire_.alive <= static_cast<int>(total), "a connection that is not counted");
    hold(wire_.too_many == 0, "more connections than max_size");
    hold(wire_.shared == 0, "two users of one connection");
    hold(s.now.in_use + s.lost >= users_.size(), "in use, and not counted");
    hold(s.expired_handoffs == 0, "handed to one whose time was up");
    hold(s.arrivals() == own_.asked, "the ledger does not balance");
    hold(s.granted() >= own_.granted, "grants that are not counted");
    allowed_ = std::max(config_.max_size, total);  // where max_size was lowered, what is too many goes
    wire_.most = static_cast<int>(allowed_);
    check_outage(s);
  }
  /// One attempt at a time, one per backoff, and nobody is kept waiting.
  void check_outage(const pool_snapshot& s) {
    // Nobody is sent away who could line up: while it was suspended, or waiting was allowed.
    const bool may_line_up = s.now.suspended || config_.on_down == when_down::wait;
    if (!s.now.down || s.outages != outage_.number) {
      outage_ = {.number = s.outages,
                 .since = clock_.now(),  // the pool has seen this at least
                 .connects = wire_.connects,
                 .connecting = s.now.connecting,
                 .at_first = s.now.connecting,
                 .lined_up = may_line_up};
      return;
    }
    hold(s.now.connecting <= std::max(outage_.connecting, 1u), "more than one probe in flight");
    const auto pauses = static_cast<std::uint64_t>((latest_ - outage_.since) / probe_every);
    hold(wire_.connects - outage_.connects <= outage_.at_first + config_.endpoints * (1 + pauses), "too many probes");
    outage_.connecting = std::max(s.now.connecting, 1u);
    outage_.lined_up |= may_line_up;
    hold(outage_.lined_up || s.now.waiting == 0, "waits while the backend is down");
  }

  // ---- ends

  void wind_up() {
    wire_.outage = false;
    wire_.calm = true;
    suspended_ = false;
    pool_->resume();
    clock_.set(latest_);
    const auto all_have_ended = [&] {
      return std::all_of(ops_.begin(), ops_.end(), [](const op& o) { return o.number == 0 || o.ends != 0; }) &&
             std::all_of(patients_.begin(), patients_.end(), [](const patient& p) { return p.ends != 0; });
    };
    settle(all_have_ended);
    users_.clear();
    settle([&] {
      const auto now = pool_->snapshot().now;
      return now.total() == now.idle && !now.down;
    });
    auto s = pool_->snapshot();
    expect_same(own_, s);
    EXPECT_EQ(s.now.total(), s.now.idle);
    EXPECT_LE(s.now.total(), config_.max_size);
    EXPECT_EQ(wire_.alive, static_cast<int>(s.now.idle));
    EXPECT_EQ(s.opened, wire_.connected);
    EXPECT_EQ(s.opened + s.connect_failed + s.connect_timed_out, wire_.connects);
    std::uint64_t closed = 0;
    for (const std::uint64_t n : s.closed_for) closed += n;
    EXPECT_EQ(s.opened - closed, s.now.idle);

    // It serves as many as ever.
    config_.predict = config_.waiting.codel.on = false;
    config_.on_down = when_down::wait;
    config_.acquire_timeout = 1000 * unit;
    config_.max_waiters = 1000;
    EXPECT_FALSE(pool_->reconfigure(config_));
    const auto before = static_cast<std::ptrdiff_t>(ops_.size());
    pool_->invalidate();
    wire_.refuses_next = 2;
    for (std::uint32_t i = 0; i < config_.max_size; ++i) {
      op& o = new_op({});
      asks(o);
      pool_->async_acquire({}, receiver{this, &o});
    }
    settle(all_have_ended);
    EXPECT_TRUE(std::all_of(ops_.begin() + before, ops_.end(), [](const op& o) { return o.granted; }));
    if (flip()) expect_drain();
    pool_.reset();
    users_.clear();
    drain();
  }
  /// It ends when the last connection has gone.
  void expect_drain() {
    closed_ = true;
    bool drained = false;
    pool_->async_drain(never, asio::bind_executor(io_->get_executor(), [&](const auto& report) {
                         drained = true;
                         EXPECT_TRUE(report && report->is_complete());
                         EXPECT_EQ(wire_.alive, 0) << "drained, and connections are left";
                       }));
    settle([&] { return drained; });
  }
  template <class Done>
  void settle(Done&& done) {
    const bool helps = flip();  // else what hangs has to be given up
    for (int i = 0; i < 400 && !done(); ++i) {
      while (helps && !wire_.gates.empty()) {
        open_a_gate(true);
        poll(1000);
      }
      while (!users_.empty()) one_is_done();
      move_clock(unit);
      ring();
      poll(1000);
    }
    EXPECT_TRUE(done()) << "waits for ever";
  }
  void close_at_once() {
    closed_ = true;
    pool_->close();
    for (int i = 0; i < 30; ++i) {
      step();
      check();
    }
    pool_.reset();
    drain();
  }
  /// The handle has gone; what is under way ends.
  void drain() {
    for (int i = 0; i < 1000 && wire_.token.use_count() > 1; ++i) {
      poll(1);
      open_a_gate(flip());
      if (random_.below(8) == 0) users_.clear();
      one_is_done();
    }
    poll(1000);
  }
  void context_goes() {
    ++turn_;
    if (users_context_ && flip()) return users_go();
    pool_.reset();
    poll(random_.below(4));
    users_.clear();  // no lease outlives the context
    users_context_.reset();
    context_.reset();
  }
  /// With their context, wherever they are; the pool stays.
  void users_go() {
    users_.clear();
    users_context_.reset();
    suspended_ = false;
    pool_->resume();
    clock_.set(latest_);
    settle([&] {
      const auto now = pool_->snapshot().now;
      return now.total() == now.idle && now.waiting == 0;
    });
    EXPECT_EQ(pool_->snapshot().arrivals(), own_.asked);
    pool_.reset();
    drain();
  }

  struct outage {
    std::uint64_t number = 0;
    time_point since{};
    std::uint64_t connects = 0;
    std::uint32_t connecting = 0;
    std::uint32_t at_first = 0;  // under way, maybe not yet begun
    bool lined_up = false;
  };

  random_stream random_;
  wire wire_;
  manual_clock clock_;
  time_point latest_ = clock_.now(), rung_ = time_point::min();
  std::uint64_t turn_ = 0, numbers_ = 0;
  std::uint32_t allowed_ = 0;
  pool_config config_;
  bool suspended_ = false, closed_ = false;
  books own_;
  outage outage_;
  std::uint64_t warm_ = 0;
  std::deque<op> ops_;
  std::deque<patient> patients_;
  std::array<std::deque<op*>, 3> lines_;
  std::list<user_of> users_;
  std::optional<asio::io_context> context_{std::in_place, 1};
  std::optional<asio::io_context> users_context_;
  asio::io_context* io_ = &*context_;  // that of the users, which may be the pool's
  std::optional<faulty_pool> pool_;
};

}  // namespace weir::testing_support
