// The room against a naive picture of it: random requests, time, stores that lag, fail and crash. After every step: nobody
// is overtaken, positions are exact and never grow without a counted reason, limits hold at every instant, the ledger
// balances, and nobody is told of what is not stored.

#include "../../support/recorded_room.hpp"

#include <weir/core/random.hpp>
#include <weir/room/room_core.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::room_core;
using weir::room_refusal;
using weir::seat_state;
using weir::testing_support::recorded_room;

std::uint64_t scale() {
  const char* text = std::getenv("WEIR_TEST_SCALE");
  return text == nullptr ? 1 : std::max(1ULL, std::strtoull(text, nullptr, 10));
}

struct request : weir::room_request {
  request() {
    complete = [](weir::room_request& r) noexcept { static_cast<request&>(r).done = true; };
  }
  bool done = false;
};

/// One user and what it has been told.
struct user {
  weir::seat_holder who;
  seat_state state = seat_state::waiting;  // by the room's events
  std::uint64_t session = 0;               // that it was told
  std::uint64_t position = 0;              // that it was told last
  std::uint64_t growth_then = 0;           // counted reasons to grow at that time
  std::unique_ptr<request> turn;           // waits in process
};

class world {
 public:
  explicit world(std::uint64_t seed) : random_(seed, "room_property") {
    config_ = draw();
    durable_ = random_.below(2) == 0;
    store_.seed.fill(static_cast<std::uint8_t>(seed));
    start(weir::room_image{});
  }

  ~world() { let_all_go(); }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) step();
  }

 private:
  weir::room_config draw() {
    weir::room_config c;
    c.seed = random_();
    c.capacity = random_.below(4) == 0 ? 20 : 1000;
    if (random_.below(3) != 0) {
      c.admit = weir::rate{1 + random_.below(8), random_.below(2) == 0 ? 10s : 1s};
      c.pace = static_cast<weir::room_pace>(random_.below(3));
    }
    if (!c.admit || random_.below(2) == 0) c.max_active = static_cast<std::uint32_t>(1 + random_.below(10));
    c.claim_window = random_.below(2) == 0 ? 2s : 30s;
    c.lapsed = static_cast<weir::after_lapse>(random_.below(3));
    c.session_ttl = random_.below(2) == 0 ? 3s : 60s;
    if (random_.below(3) == 0) c.renewal = weir::session_renewal::sliding;
    if (random_.below(3) == 0) c.session_idle = 2s;
    c.presence = random_.below(3) != 0;
    c.presence_least = random_.below(2) == 0 ? 5s : 60s;
    c.overbook_at_most = random_.below(2) == 0 ? 0 : 0.5;
    if (random_.below(3) == 0) {
      c.lanes.resize(1 + random_.below(3));
      for (std::size_t i = 0; i < c.lanes.size(); ++i) {
        c.lanes[i].name = std::to_string(i);
        c.lanes[i].weight = static_cast<double>(1 + random_.below(4));
        c.lanes[i].min_share = 0.2;
        c.lanes[i].cap = random_.below(4) == 0 ? 2 : 0;
        c.lanes[i].bypass = random_.below(5) == 0;
      }
      c.order = random_.below(2) == 0 ? weir::lane_order::strict : weir::lane_order::weighted;
    }
    c.duplicates = static_cast<weir::duplicate_seat>(random_.below(3));
    c.polls.shortest = 1s;
    if (random_.below(4) == 0) c.opens_at = now_ + 5s;
    return c;
  }

  void start(const weir::room_image& image) {
    room_ = std::make_unique<room_core>(config_, durable_, now_);
    room_->want_events(true);
    room_->draw_with(store_.seed);
    room_->begin(image, now_, fx_);
    settle();
    flush(true);
  }

  void step() {
    const std::uint64_t what = random_.below(100);
    if (what < 25) {
      join();
    } else if (what < 45) {
      look();
    } else if (what < 60) {
      claim();
    } else if (what < 63) {
      leave();
    } else if (what < 70) {
      finish();
    } else if (what < 74) {
      wait_turn();
    } else if (what < 76) {
      withdraw();
    } else if (what < 78) {
      operate();
    } else if (what < 90) {
      now_ += std::chrono::milliseconds{random_.below(3) == 0 ? random_.below(3000) : random_.below(50)};
      room_->pass(now_, fx_);
    } else if (what < 97) {
      flush(random_.below(2) == 0);
    } else if (what < 98) {
      store_trouble();
    } else if (durable_ && random_.below(20) == 0) {
      crash();
    }
    settle();
    check();
  }

  user* any() { return users_.empty() ? nullptr : &users_[random_.below(users_.size())]; }
  /// Somebody in this state, as the room has said in its events.
  user* any(seat_state state) {
    for (int i = 0; i < 20; ++i) {
      if (user* u = any(); u != nullptr && u->state == state) return u;
    }
    return any();
  }

  void join() {
    const std::uint64_t subject = random_.below(3) == 0 ? 1 + random_.below(40) : 0;
    const weir::room_join who{static_cast<std::uint8_t>(random_.below(config_.lanes.size())), subject,
                              1 + random_.below(2)};
    auto& r = ask();
    const std::uint64_t joined = room_->totals().joined;
    const bool done = room_->join(r, who, now_, fx_);
    const weir::room_answer answer = r.answer;  // r goes when it is not waited for
    if (room_->totals().joined != joined && !answer.again && answer.why == room_refusal::none) {
      // Dense, in order, never again, also after a crash.
      const weir::seat_id seat = answer.view.seat;
      ASSERT_GE(seat.number, next_number_[seat.lane]);
      next_number_[seat.lane] = seat.number + 1;
      settle();
      user* u = find(seat);
      ASSERT_NE(u, nullptr);
      u->who.subject = who.subject;
      u->who.bind = who.bind;
    }
    if (answer.again && answer.why == room_refusal::none && config_.duplicates == weir::duplicate_seat::move) {
      settle();
      if (user* u = find(answer.view.seat)) u->who = {u->who.seat, who.subject, who.bind};
    }
    if (done) told(answer);
  }
  void look() {
    user* u = any();
    if (u == nullptr) return;
    const auto answer = room_->look(u->who, now_, fx_);
    settle();
    if (answer.why == room_refusal::none || answer.why == room_refusal::over) see(*find(u->who.seat), answer.view);
  }
  void claim() {
    user* u = any(seat_state::offered);
    if (u == nullptr) return;
    auto& r = ask();
    if (room_->claim(r, u->who, now_, fx_)) told(r.answer);
  }
  void leave() {
    if (user* u = any()) (void)room_->leave(u->who, now_, fx_);
  }
  void finish() {
    user* u = any(seat_state::active);
    if (u == nullptr || u->session == 0) return;
    if (random_.below(2) == 0) {
      const auto first = room_->complete(u->who, u->session, now_, fx_);
      const auto again = room_->complete(u->who, u->session, now_, fx_);
      ASSERT_EQ(first.why, again.why);
    } else {
      (void)room_->renew(u->who, u->session, now_, fx_);
    }
  }
  void wait_turn() {
    user* u = any(seat_state::waiting);
    if (u == nullptr || u->turn != nullptr) return;
    auto r = std::make_unique<request>();
    if (!room_->wait_turn(*r, u->who, now_, fx_)) u->turn = std::move(r);
  }
  void withdraw() {
    for (auto& u : users_) {
      if (u.turn == nullptr || u.turn->done) continue;
      if (room_->withdraw(*u.turn, u.who)) u.turn.reset();
      return;
    }
  }
  void operate() {
    switch (random_.below(8)) {
      case 7: reconfigure(); break;
      case 0: (void)room_->set_mode(weir::room_mode::paused, now_, fx_); break;
      case 1: (void)room_->set_mode(weir::room_mode::draining, now_, fx_); break;
      case 2: room_->set_gate(random_.below(3) == 0 ? 0 : 0.5, now_, fx_); break;
      case 3: room_->advance(random_.below(4), now_, fx_); break;
      case 4:
        if (user* u = any()) {
          auto& r = ask();
          if (room_->revoke(r, u->who.seat, now_, fx_)) told(r.answer);
        }
        break;
      default: (void)room_->set_mode(weir::room_mode::open, now_, fx_); room_->set_gate(1, now_, fx_);
    }
  }

  void reconfigure() {
    weir::room_config c = draw();
    c.seed = config_.seed;
    c.presence = config_.presence;
    c.duplicates = config_.duplicates;
    c.opens_at = config_.opens_at;
    if (config_.lapsed == weir::after_lapse::requeue_back || c.lapsed == weir::after_lapse::requeue_back) {
      c.lapsed = config_.lapsed;
    }
    c.lanes.resize(config_.lanes.size());
    for (std::size_t i = 0; i < c.lanes.size(); ++i) c.lanes[i].name = config_.lanes[i].name;
    if (random_.below(4) == 0) {  // all but one thing may change
      weir::room_config wrong = c;
      if (random_.below(2) == 0) {
        wrong.presence = !c.presence;
      } else {
        wrong.session_ttl = 0s;
      }
      const auto before = room_->config().session_ttl;
      ASSERT_TRUE(room_->reconfigure(wrong, now_, fx_).has_value());
      ASSERT_EQ(room_->config().session_ttl, before) << "half of it was applied";
      return;
    }
    const bool was_strict = is_strict();
    most_active_ = std::max(bound(config_.max_active), room_->active());
    for (std::uint8_t i = 0; i < room_->lanes(); ++i) {
      most_inside_[i] = std::max(bound(config_.lanes[i].cap), room_->lane(i).inside);
    }
    config_ = c;
    most_capacity_ = std::max(most_capacity_, c.capacity);
    const auto wrong = room_->reconfigure(c, now_, fx_);
    ASSERT_FALSE(wrong.has_value()) << wrong->message();
    if (is_strict() && !was_strict) entries_.clear();  // from now on
  }
  [[nodiscard]] bool is_strict() const { return config_.admit && config_.pace == weir::room_pace::strict; }
  static std::uint32_t bound(std::uint32_t limit) { return limit == 0 ? std::numeric_limits<std::uint32_t>::max() : limit; }

  request& ask() {
    requests_.push_back(std::make_unique<request>());
    return *requests_.back();
  }
  void told(weir::room_answer answer) {
    settle();
    if (answer.why != room_refusal::none) return;
    if (user* u = find(answer.view.seat)) see(*u, answer.view, true);
  }

  /// What a user sees may only be what is stored.
  void see(user& u, const weir::seat_view& v, bool joined = false) {
    ASSERT_EQ(u.who.seat, v.seat);
    const recorded_room::key key{v.seat.lane, place_of(v.seat)};
    if (durable_ && v.state == seat_state::offered) {
      ASSERT_TRUE(store_.knows_offer(key)) << "told of what is not stored";
    }
    if (durable_ && v.state == seat_state::active && v.session != 0) {
      ASSERT_TRUE(store_.knows_entry(key, v.session)) << "told of what is not stored";
    }
    if (v.state == seat_state::active && v.session != 0) {
      ASSERT_TRUE(u.session == 0 || u.session == v.session) << "entered twice";
      u.session = v.session;
    }
    if (v.state != seat_state::waiting || (v.position == 0 && joined)) return;
    ASSERT_GE(v.position, 1U);
    ASSERT_GE(v.position_upper, config_.lanes.size() == 1 ? v.position : 1);
    if (config_.lanes.size() == 1) {
      if (u.position != 0) {
        ASSERT_LE(v.position, u.position + growth() - u.growth_then) << "moved back without a counted reason";
      }
      if (u.state == seat_state::waiting) {
        const std::uint64_t ahead =
            static_cast<std::uint64_t>(std::count_if(users_.begin(), users_.end(), [&](const user& o) {
              return o.state == seat_state::waiting && place_of(o.who.seat) < place_of(u.who.seat);
            }));
        ASSERT_EQ(v.position, ahead + 1);
      }
    }
    u.position = v.position;
    u.growth_then = growth();
  }
  [[nodiscard]] std::uint64_t growth() const {
    return recovered_ + room_->totals().rejoined + room_->totals().requeued + came_back_unknown_;
  }

  user* find(weir::seat_id seat) {
    const auto found = std::find_if(users_.begin(), users_.end(), [&](const user& u) { return u.who.seat == seat; });
    return found == users_.end() ? nullptr : &*found;
  }
  [[nodiscard]] std::uint64_t place_of(weir::seat_id seat) const { return room_->lane(seat.lane).place_of(seat.number); }

  /// What the room says has happened, and who is to be told.
  void settle() {
    std::vector<weir::seat_changed> events;
    room_->take_events(events);
    if (room_->mode() != weir::room_mode::prequeue && !opened_) {
      opened_ = true;  // everybody has a place now
      for (auto& u : users_) {
        if (u.state == seat_state::prequeued) u.state = seat_state::waiting;
      }
    }
    for (const auto& e : events) saw(e);
    while (auto* r = fx_.ready.pop_front()) {
      r->complete(*r);
    }
    for (auto& r : requests_) {
      if (!r->done) continue;
      const auto done = std::move(r);
      if (done->answer.why == room_refusal::none) {
        if (user* u = find(done->answer.view.seat)) see(*u, done->answer.view);
      }
    }
    std::erase_if(requests_, [](const auto& r) { return r == nullptr || (!r->is_linked() && !r->done); });
    for (auto& u : users_) {
      if (u.turn == nullptr || !u.turn->done) continue;
      const auto done = std::move(u.turn);
      if (done->answer.why == room_refusal::none) see(u, done->answer.view);
    }
  }
  void saw(const weir::seat_changed& e) {
    ASSERT_EQ(e.sequence, ++sequence_);
    if (e.first) {
      ASSERT_EQ(find(e.seat), nullptr);
      users_.emplace_back();
      users_.back().who.seat = e.seat;
      users_.back().state = e.to;
      return;
    }
    user* u = find(e.seat);
    ASSERT_NE(u, nullptr);
    if (e.from == seat_state::abandoned && u->state == seat_state::waiting && unknown_.contains(key_of(e.seat))) {
      u->state = seat_state::abandoned;  // a seat that the crash made the room forget
    }
    if (e.from == seat_state::abandoned && unknown_.contains(key_of(e.seat))) ++came_back_unknown_;
    ASSERT_EQ(u->state, e.from) << to_string(u->state) << " is said to be " << to_string(e.from);
    if (e.to == seat_state::offered) {
      for (const auto& o : users_) {
        if (o.who.seat.lane != e.seat.lane || &o == u) continue;
        if (o.state != seat_state::waiting && o.state != seat_state::prequeued) continue;
        ASSERT_GT(place_of(o.who.seat), place_of(e.seat)) << "overtaken";
      }
    }
    if (e.to == seat_state::active) {
      entries_.push_back(e.at);
      if (is_strict()) {
        const auto in_window = std::count_if(entries_.begin(), entries_.end(),
                                             [&](weir::time_point t) { return t > e.at - config_.admit->per; });
        ASSERT_LE(static_cast<std::uint64_t>(in_window), config_.admit->permits);
      }
    }
    u->state = e.to;
  }
  static std::pair<std::uint8_t, std::uint64_t> key_of(weir::seat_id s) { return {s.lane, s.number}; }

  void flush(bool all) {
    if (!durable_) return;
    std::vector<weir::room_record> batch;
    const std::uint64_t upto = room_->take_records(batch);
    if (!batch.empty()) on_the_way_.push_back({std::move(batch), upto});
    if (!all && random_.below(2) == 0) return;
    while (!on_the_way_.empty()) {
      store_.apply(on_the_way_.front().records);
      room_->stored(on_the_way_.front().upto, now_, fx_);
      on_the_way_.pop_front();
      settle();
    }
  }
  void store_trouble() {
    if (!durable_) return;
    if (random_.below(2) == 0) {
      room_->store_fails(now_, fx_);
    } else {
      room_->store_works(now_, fx_);
    }
  }

  /// kill -9: what was on its way is lost, or just not confirmed.
  void crash() {
    std::vector<weir::room_record> batch;
    (void)room_->take_records(batch);
    on_the_way_.push_back({std::move(batch), 0});
    std::size_t survive = random_.below(on_the_way_.size() + 1);
    for (const auto& each : on_the_way_) {
      if (survive-- == 0) break;
      store_.apply(each.records);
    }
    on_the_way_.clear();
    let_all_go();
    sequence_ = 0;
    fx_.records = false;
    now_ += std::chrono::milliseconds{random_.below(2000)};
    const std::uint64_t growth_before = growth();
    config_.opens_at.reset();
    start(store_.load(config_.lanes.size()));
    ++crashes_;
    most_active_ = std::max(most_active_, room_->active());  // whose end was not stored is inside again
    for (std::uint8_t i = 0; i < room_->lanes(); ++i) {
      ASSERT_LT(room_->lane(i).line().tail(), room_->lane(i).reserved) << "nobody can join any more";
    }
    // What every user may be sure of.
    unknown_.clear();
    for (auto& u : users_) {
      u.position = 0;
      ASSERT_TRUE(u.who.seat.number < room_->lane(u.who.seat.lane).line().tail()) << "its number may be given out again";
      const auto view = room_->look_at(u.who, now_);
      if (u.session != 0 && u.state == seat_state::active) {
        // Which device it had moved to may be forgotten.
        const bool same =
            view.session == u.session || (view.session == 0 && config_.duplicates == weir::duplicate_seat::move);
        ASSERT_TRUE(view.state == seat_state::active ? same : is_over(view.state)) << to_string(view.state);
      }
      // Ended states that were told in groups may come undone; what waits never ends by itself.
      if (u.state == seat_state::waiting || u.state == seat_state::prequeued) {
        ASSERT_TRUE(view.state == seat_state::waiting || view.state == seat_state::offered ||
                    view.state == seat_state::abandoned || view.state == seat_state::prequeued)
            << "lost: " << to_string(view.state);
      }
      u.state = view.state;
      if (view.state == seat_state::abandoned) unknown_.insert(key_of(u.who.seat));
    }
    recovered_ += growth_before + 1000;
    const auto entries = store_.image(1).entries;  // nobody has been told of the others
    entries_.assign(entries.begin(), entries.end());
  }

  /// Nobody waits for an answer any more.
  void let_all_go() {
    room_->store_fails(now_, fx_);
    for (auto& u : users_) {
      if (u.turn != nullptr && !u.turn->done) (void)room_->withdraw(*u.turn, u.who);
    }
    while (auto* r = fx_.ready.pop_front()) r->complete(*r);
    for (auto& u : users_) u.turn.reset();
    requests_.clear();
  }

  void check() {
    const auto& t = room_->totals();
    ASSERT_EQ(t.joined, room_->waiting() + room_->offered() + room_->active() + t.ended());
    // Who was inside when the limit fell stays; nobody comes in until it is kept again.
    most_active_ = std::max(bound(config_.max_active), std::min(most_active_, room_->active()));
    ASSERT_LE(room_->active(), most_active_);
    ASSERT_EQ(t.jumped, 0U);
    std::uint32_t inside = 0;
    for (std::uint8_t i = 0; i < room_->lanes(); ++i) {
      inside += room_->lane(i).inside;
      most_inside_[i] = std::max(bound(config_.lanes[i].cap), std::min(most_inside_[i], room_->lane(i).inside));
      if (crashes_ == 0) {
        ASSERT_LE(room_->lane(i).inside, most_inside_[i]);
      }
    }
    ASSERT_EQ(inside, room_->offered() + room_->active());
    if (crashes_ == 0) {
      const auto waiting = std::count_if(users_.begin(), users_.end(), [](const user& u) {
        return u.state == seat_state::waiting || u.state == seat_state::prequeued;
      });
      ASSERT_EQ(room_->waiting(), static_cast<std::uint64_t>(waiting));
    }
    ASSERT_LE(room_->waiting(), most_capacity_ + t.requeued + t.rejoined + t.lapsed + recovered_);
  }

  weir::random_stream random_;
  weir::time_point now_{std::chrono::hours{1}};
  weir::room_config config_;
  bool durable_ = false;
  std::unique_ptr<room_core> room_;
  weir::room_effects fx_;
  recorded_room store_;
  struct batch {
    std::vector<weir::room_record> records;
    std::uint64_t upto;
  };
  std::deque<batch> on_the_way_;
  std::deque<user> users_;
  std::vector<std::unique_ptr<request>> requests_;
  std::map<std::uint8_t, std::uint64_t> next_number_;
  std::deque<weir::time_point> entries_;
  std::set<std::pair<std::uint8_t, std::uint64_t>> unknown_;
  std::uint32_t most_active_ = 0;
  std::array<std::uint32_t, 16> most_inside_{};
  std::uint64_t most_capacity_ = 1000;
  std::uint64_t sequence_ = 0, recovered_ = 0, came_back_unknown_ = 0;
  int crashes_ = 0;
  bool opened_ = false;
};

TEST(room_core_property, nobody_is_overtaken_lost_or_admitted_twice) {
  for (std::uint64_t seed = 1; seed <= 25 * scale(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    world w{seed};
    w.run(1500);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
