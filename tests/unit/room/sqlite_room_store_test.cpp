// The store of rooms in SQLite: whatever it was told, it says again, as a naive store in memory does; and what can't be
// written is neither lost nor called written.

#include "../../support/recorded_room.hpp"
#include "../../support/room_picture.hpp"
#include "../../support/seeds.hpp"

#include <weir/core/random.hpp>
#include <weir/room/room_core.hpp>
#include <weir/room/sqlite_room_store.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using enum weir::room_record::kind;
using testing::HasSubstr;
using weir::room_image;
using weir::room_record;
using weir::seat_state;
using weir::sqlite_room_store;
using weir::time_point;
using weir::testing_support::expect_same;
using weir::testing_support::recorded_room;

constexpr time_point start{1h};

class directory {
 public:
  directory() {
    const bool memory = std::filesystem::is_directory("/dev/shm");
    std::string name =
        (memory ? std::filesystem::path{"/dev/shm"} : std::filesystem::temp_directory_path()) / "weir.XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path = name;
  }
  ~directory() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file() const { return path / "rooms.db"; }
  std::filesystem::path path;
};

struct witness final : weir::room_store::listener {
  void stored(std::uint64_t upto) noexcept override {
    const std::lock_guard lock{mutex};
    stored_.push_back(upto);
    changed.notify_all();
  }
  void store_fails(std::string_view why) noexcept override {
    const std::lock_guard lock{mutex};
    fails_.emplace_back(why);
    changed.notify_all();
  }
  bool wait_stored(std::uint64_t upto) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, 20s, [&] { return !stored_.empty() && stored_.back() >= upto; });
  }
  std::string wait_fails() {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, 20s, [&] { return !fails_.empty(); }) ? fails_.back() : "nothing fails";
  }
  std::vector<std::string> fails() {
    const std::lock_guard lock{mutex};
    return fails_;
  }
  std::vector<std::uint64_t> told() {
    const std::lock_guard lock{mutex};
    return stored_;
  }

 private:
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::uint64_t> stored_;
  std::vector<std::string> fails_;
};

weir::room_config config_of(std::size_t lanes = 1) {
  weir::room_config c;
  c.name = "concert";
  c.admit = weir::rate{50, 10s};
  c.pace = weir::room_pace::strict;
  c.lanes.resize(lanes);
  for (std::size_t i = 0; i < lanes; ++i) c.lanes[i].name = std::to_string(i);
  return c;
}

/// A store that has loaded and started.
struct opened_store {
  explicit opened_store(weir::sqlite_room_store_config c, const weir::room_config& room = config_of(),
                        time_point now = start)
      : store(std::move(c)), image(store.load(room, now)) {
    store.start(heard);
  }
  void write(std::vector<room_record> records) {
    upto += records.size();
    store.write(std::move(records), upto);
  }
  void write_all(std::vector<room_record> records) {
    write(std::move(records));
    ASSERT_TRUE(heard.wait_stored(upto));
  }
  witness heard;
  sqlite_room_store store;
  room_image image;
  std::uint64_t upto = 0;
};

room_image load(const std::string& file, const weir::room_config& room = config_of(), time_point now = start) {
  return sqlite_room_store{{.file = file}}.load(room, now);
}

/// Another program's hand on the file.
class other_hand {
 public:
  explicit other_hand(const std::string& file) {
    if (sqlite3_open(file.c_str(), &database_) != SQLITE_OK) throw std::runtime_error("sqlite3_open");
    sqlite3_busy_timeout(database_, 5'000);
  }
  ~other_hand() { sqlite3_close(database_); }
  void run(const char* sql) { ASSERT_EQ(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql; }
  std::int64_t ask(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database_, sql, -1, &statement, nullptr) != SQLITE_OK) return -1;
    const std::int64_t answer = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    return answer;
  }

 private:
  sqlite3* database_ = nullptr;
};

/// What the naive store knows, less what nobody can ask for any more.
room_image expected(recorded_room& naive, const weir::room_config& config, time_point now) {
  room_image im = naive.load(config.lanes.size());
  if (!config.admit) im.entries.clear();
  std::erase_if(im.entries, [&](time_point at) { return weir::later(at, config.admit->per) <= now; });
  if (config.admit && im.entries.size() > config.admit->permits) {
    im.entries.erase(im.entries.begin(), im.entries.end() - static_cast<std::ptrdiff_t>(config.admit->permits));
  }
  return im;
}

/// Any records that a room could write, and some that it would not.
class scribe {
 public:
  explicit scribe(std::uint64_t seed) : random_(seed, "records") {}

  std::vector<room_record> some() {
    std::vector<room_record> all(1 + random_.below(30));
    for (auto& r : all) r = one();
    return all;
  }
  time_point now = start;

 private:
  room_record one() {
    now += std::chrono::milliseconds{random_.below(400)};
    room_record r{.what = static_cast<room_record::kind>(random_.below(10)),
                  .lane = static_cast<std::uint8_t>(random_.below(2)),
                  .number = place()};
    switch (r.what) {
      case numbers:
        r.other = random_.below(20) == 0 ? (std::uint64_t{1} << 63) : random_.below(20'000);
        r.number = r.other + random_.below(70'000);
        break;
      case gone: r.state = random_.below(2) == 0 ? seat_state::left : seat_state::abandoned; break;
      case offered:
        r.at = now;
        r.until = now + 30s;
        with_session_.push_back(r);
        break;
      case entered:
        r = {.what = entered, .lane = r.lane, .number = r.number, .other = random_(), .bind = random_(), .at = now};
        if (random_.below(2) == 0) r.until = now + 600s;
        with_session_.push_back(r);
        break;
      case renewed:
      case ended:
        if (!with_session_.empty()) {
          const room_record was = with_session_.back();
          if (r.what == ended) with_session_.pop_back();
          r.lane = was.lane;
          r.number = was.number;
        } else {
          r.what = ended;
        }
        r.state = seat_state::completed;
        r.other = random_.below(3) == 0 ? random_.below(1000) : 0;
        r.until = now + 5s;
        break;
      case opened:
        if (drawn_[r.lane] || random_.below(4) != 0) return one();
        drawn_[r.lane] = true;
        with_session_.clear();  // their places are not what they were
        r.number = random_.below(9'000);
        break;
      case subject:
        r.other = random_();
        r.bind = random_();
        break;
      case mode: r.other = random_.below(6); break;
      case limit: break;  // is drawn by nobody: the naive store keeps everything
      case back:
        std::erase_if(with_session_, [&](const auto& w) { return w.lane == r.lane && w.number == r.number; });
        break;
    }
    return r;
  }
  std::uint64_t place() {
    switch (random_.below(6)) {
      case 0: return random_.below(20'000);
      case 1: return (std::uint64_t{1} << 63) + random_.below(3);
      case 2: return 4094 + random_.below(4);
      default: return random_.below(200);
    }
  }

  weir::random_stream random_;
  std::vector<room_record> with_session_;
  bool drawn_[2] = {};
};

TEST(sqlite_room_store, says_what_it_was_told) {
  for (const std::uint64_t seed : weir::testing_support::seeds(15)) {
    SCOPED_TRACE(seed);
    const directory dir;
    const auto config = config_of(2);
    scribe writes{seed};
    recorded_room naive;
    for (int cut = 0; cut < 5; ++cut) {
      opened_store s{{.file = dir.file()}, config, writes.now};
      if (cut == 0) naive.seed = s.image.seed;
      if (cut == 0) naive.epoch = s.image.epoch;
      expect_same(s.image, expected(naive, config, writes.now));
      for (int i = 0; i < 8; ++i) {
        const auto records = writes.some();
        naive.apply(records);
        s.write(records);
      }
      if (seed % 2 == 0) {
        ASSERT_TRUE(s.heard.wait_stored(s.upto));
      }
      s.store.stop();  // writes what is left
      ASSERT_FALSE(s.heard.told().empty());
      EXPECT_EQ(s.heard.told().back(), s.upto);
      EXPECT_THAT(s.heard.fails(), testing::IsEmpty());
      if (testing::Test::HasFailure()) return;
    }
    expect_same(load(dir.file(), config, writes.now), expected(naive, config, writes.now));
  }
}

/// A real room at random, whose store is closed again and again; one that is opened by lot too.
class driven_room {
 public:
  driven_room(std::uint64_t seed, const directory& dir) : random_(seed, "driven"), file_(dir.file()) {
    config_ = config_of(1 + random_.below(2));
    config_.claim_window = 2s;
    config_.session_ttl = 3s;
    config_.lapsed = static_cast<weir::after_lapse>(random_.below(3));
    config_.renewal = weir::session_renewal::sliding;
    config_.presence_least = 4s;
    config_.seats_per_subject = 2;
    config_.duplicates = weir::duplicate_seat::move;
    config_.polls.shortest = 1s;
    if (random_.below(2) == 0) {
      config_.opens_at = now_ + 3s;
      naive_.apply({.what = mode, .other = static_cast<std::uint64_t>(weir::room_mode::prequeue)});
    }
  }
  void run(int steps) {
    opened_store s{{.file = file_}, config_, now_};
    if (seats_.empty()) naive_.seed = s.image.seed;
    if (seats_.empty()) naive_.epoch = s.image.epoch;
    expect_same(s.image, expected(naive_, config_, now_));
    weir::room_core room{config_, true, now_};
    room.draw_with(s.image.seed);
    room.begin(s.image, now_, fx_);
    flush(room, s);
    for (int i = 0; i < steps; ++i) {
      step(room);
      flush(room, s);
      while (auto* r = fx_.ready.pop_front()) r->complete(*r);
    }
    s.store.stop();
    room.store_fails(now_, fx_);
    while (fx_.ready.pop_front() != nullptr) {
    }
    requests_.clear();
  }

 private:
  void step(weir::room_core& room) {
    requests_.push_back(std::make_unique<weir::room_request>());
    weir::room_request& r = *requests_.back();
    r.complete = [](weir::room_request&) noexcept {};
    const std::uint64_t what = random_.below(10);
    const std::uint64_t bind = 1 + random_.below(2);
    if (what < 3 || seats_.empty()) {
      const auto lane = static_cast<std::uint8_t>(random_.below(config_.lanes.size()));
      (void)room.join(r, {lane, random_.below(2) == 0 ? 1 + random_.below(30) : 0, bind}, now_, fx_);
      if (r.answer.why == weir::room_refusal::none) seats_.push_back({r.answer.view.seat, 0, bind});
      return;
    }
    const auto& who = seats_[random_.below(seats_.size())];
    const auto view = room.look_at(who, now_);
    if (what < 5) {
      (void)room.claim(r, who, now_, fx_);
    } else if (what == 5) {
      (void)room.look(who, now_, fx_);
    } else if (what == 6 && view.session != 0) {
      (void)(random_.below(2) == 0 ? room.complete(who, view.session, now_, fx_)
                                   : room.renew(who, view.session, now_, fx_));
    } else if (what == 7 && random_.below(3) == 0) {
      random_.below(2) == 0 ? (void)room.leave(who, now_, fx_) : (void)room.revoke(r, who.seat, now_, fx_);
    } else {
      now_ += std::chrono::milliseconds{random_.below(200)};
      room.pass(now_, fx_);
    }
  }
  void flush(weir::room_core& room, opened_store& s) {
    std::vector<room_record> records;
    const std::uint64_t upto = room.take_records(records);
    if (records.empty()) return;
    naive_.apply(records);
    s.store.write(std::move(records), upto);
    room.stored(upto, now_, fx_);
  }

  weir::random_stream random_;
  std::string file_;
  weir::room_config config_;
  time_point now_ = start;
  recorded_room naive_;
  weir::room_effects fx_;
  std::vector<weir::seat_holder> seats_;
  std::vector<std::unique_ptr<weir::room_request>> requests_;
};

TEST(sqlite_room_store, says_what_a_room_has_told_it) {
  for (const std::uint64_t seed : weir::testing_support::seeds(6)) {
    SCOPED_TRACE(seed);
    const directory dir;
    driven_room room{seed, dir};
    for (int cut = 0; cut < 3; ++cut) room.run(150);
    room.run(0);
    if (HasFailure()) return;
  }
}

TEST(sqlite_room_store, who_was_absent_or_unknown_when_the_room_ended_finds_its_place_after_any_restart) {
  const directory dir;
  auto config = config_of();
  config.presence_least = 1s;
  config.polls.longest = 1s;
  config.admit.reset();
  config.manual = true;
  time_point now = start;
  weir::room_effects fx;
  const auto live = [&](auto&& act) {
    opened_store s{{.file = dir.file()}, config, now};
    weir::room_core room{config, true, now};
    room.begin(s.image, now, fx);
    room.stored(100, now, fx);
    act(room);
    std::vector<room_record> records;
    (void)room.take_records(records);
    s.write_all(records);
    EXPECT_EQ(room.totals().joined, room.waiting() + room.offered() + room.active() + room.totals().ended());
    return records.size();
  };
  const auto join = [&](weir::room_core& room) {
    weir::room_request r;
    EXPECT_TRUE(room.join(r, {}, now, fx));
    EXPECT_EQ(r.answer.why, weir::room_refusal::none);
    return r.answer.view.seat;
  };
  weir::seat_id first, silent, forgotten;
  live([&](weir::room_core& room) {
    first = join(room);
    silent = join(room);
    for (int i = 0; i < 20; ++i) {
      now += 200ms;
      (void)room.look({first}, now, fx);
      room.pass(now, fx);
      if (room.look_at({silent}, now).state == seat_state::abandoned) return;
    }
    FAIL() << "is still there";
  });
  EXPECT_EQ(first.number + 1, silent.number);
  {  // joins, and a crash before that is stored
    opened_store s{{.file = dir.file()}, config, now};
    weir::room_core room{config, true, now};
    room.begin(s.image, now, fx);
    std::vector<room_record> records;
    (void)room.take_records(records);
    s.write_all(records);
    room.stored(100, now, fx);
    forgotten = join(room);
  }
  for (int i = 0; i < 2; ++i) live([](weir::room_core&) {});  // nobody asks meanwhile
  for (int i = 0; i < 2; ++i) {
    live([&](weir::room_core& room) {
      EXPECT_EQ(room.waiting(), i == 0 ? 1U : 3U) << "phantoms";
      EXPECT_EQ(room.look({forgotten}, now, fx).view.state, seat_state::waiting);
      const auto view = room.look({silent}, now, fx).view;
      EXPECT_EQ(view.state, seat_state::waiting);
      EXPECT_EQ(view.position, 2U);
      EXPECT_EQ(room.look_at({forgotten}, now).position, 3U);
      EXPECT_EQ(room.look_at({{0, forgotten.number + 1}}, now).state, seat_state::abandoned);
    });
  }
}

TEST(sqlite_room_store, who_joined_just_before_a_crash_takes_part_in_the_drawing) {
  const directory dir;
  auto config = config_of();
  config.admit.reset();
  config.manual = true;
  config.opens_at = start + 60s;
  weir::room_effects fx;
  std::vector<weir::seat_id> seats;
  const auto live = [&](time_point now, auto&& act) {
    opened_store s{{.file = dir.file()}, config, now};
    weir::room_core room{config, true, now};
    room.draw_with(s.image.seed);
    room.begin(s.image, now, fx);
    const auto store = [&] {
      std::vector<room_record> records;
      const auto upto = room.take_records(records);
      s.write_all(records);
      room.stored(upto, now, fx);
    };
    store();
    act(room, store);
  };
  live(start, [&](weir::room_core& room, auto&&) {  // and then a crash, before the end of the line is stored
    for (int i = 0; i < 10; ++i) {
      weir::room_request r;
      ASSERT_TRUE(room.join(r, {}, start, fx));
      seats.push_back(r.answer.view.seat);
    }
  });
  live(start + 1s, [&](weir::room_core& room, auto&& store) {
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(room.look({seats[i]}, start + 1s, fx).view.state, seat_state::prequeued);
    }
    room.pass(start + 60s, fx);  // opens: the others have not asked yet
    store();
    for (std::size_t i = 5; i < 8; ++i) {
      EXPECT_EQ(room.look({seats[i]}, start + 61s, fx).view.state, seat_state::waiting) << i;
    }
    store();
  });
  live(start + 62s, [&](weir::room_core& room, auto&&) {
    for (const auto s : seats) (void)room.look({s}, start + 62s, fx);
    std::uint64_t sum = 0;
    for (const auto s : seats) sum += room.look_at({s}, start + 62s).position;
    EXPECT_EQ(sum, 55U) << "all ten are in line";
    EXPECT_EQ(room.totals().joined, room.waiting() + room.totals().ended());
  });
}

TEST(sqlite_room_store, remembers_to_which_device_and_number_a_seat_has_moved_and_who_has_left_for_good) {
  const directory dir;
  auto config = config_of();
  config.admit.reset();
  config.max_active = 2;
  config.duplicates = weir::duplicate_seat::move;
  config.lapsed = weir::after_lapse::requeue_back;
  config.renewal = weir::session_renewal::sliding;
  config.presence_least = 1s;
  config.polls.longest = 1s;
  time_point now = start;
  weir::room_effects fx;
  std::vector<weir::seat_holder> seats;
  const auto live = [&](auto&& act) {
    opened_store s{{.file = dir.file()}, config, now};
    weir::room_core room{config, true, now};
    room.begin(s.image, now, fx);
    room.stored(100, now, fx);
    act(room);
    std::vector<room_record> records;
    (void)room.take_records(records);
    s.write_all(records);
    while (fx.ready.pop_front() != nullptr) {
    }
  };
  std::uint64_t session = 0;
  live([&](weir::room_core& room) {
    const auto join = [&](std::uint64_t subject, std::uint64_t bind) {
      weir::room_request r;
      EXPECT_TRUE(room.join(r, {.subject = subject, .bind = bind}, now, fx));
      EXPECT_EQ(r.answer.why, weir::room_refusal::none);
      seats.push_back({r.answer.view.seat, subject, bind});
    };
    join(5, 1);
    join(6, 1);
    join(7, 1);  // waits, will be offered, and lapses
    join(8, 1);  // is absent, and leaves
    join(5, 2);  // the same as the first, from elsewhere
    session = room.look_at(seats[4], now).session;
    EXPECT_NE(session, 0U);
    (void)room.leave(seats[1], now, fx);
    for (int i = 0; i < 300; ++i) {
      room.pass(now += 200ms, fx);
      if (room.look_at(seats[3], now).state != seat_state::abandoned) continue;
      EXPECT_EQ(room.leave(seats[3], now, fx).view.state, seat_state::left);
    }
    EXPECT_TRUE(room.look_at(seats[2], now).moved_to);
    EXPECT_EQ(room.renew(seats[4], session, now, fx).view.session_expires, now + config.session_ttl);
  });
  live([&](weir::room_core& room) {
    EXPECT_EQ(room.look_at(seats[4], now).session, session);
    EXPECT_EQ(room.look_at(seats[4], now).session_expires, now + config.session_ttl);
    weir::room_request r;
    EXPECT_TRUE(room.claim(r, seats[4], now, fx));
    EXPECT_EQ(r.answer.view.session, session);
    EXPECT_TRUE(room.claim(r, seats[0], now, fx));
    EXPECT_EQ(r.answer.why, weir::room_refusal::bound_elsewhere);
    auto moved = room.look_at(seats[2], now).moved_to;
    ASSERT_TRUE(moved);
    while (const auto next = room.look_at({*moved, 7, 1}, now).moved_to) moved = next;
    EXPECT_TRUE(room.join(r, {.subject = 7, .bind = 1}, now, fx));
    EXPECT_TRUE(r.answer.again);
    EXPECT_EQ(r.answer.view.seat, *moved);
    EXPECT_EQ(room.look_at(seats[3], now).state, seat_state::left);
  });
}

TEST(sqlite_room_store, gives_every_new_room_a_seed_of_its_own_and_keeps_it) {
  const directory dir;
  auto config = config_of();
  config.opens_at = start + 1h;
  const auto first = load(dir.file(), config);
  EXPECT_EQ(load(dir.file(), config).epoch, first.epoch);
  EXPECT_NE(load(directory{}.file(), config).epoch, first.epoch)
      << "tokens of a file that was lost would be taken for ours";
  EXPECT_EQ(first.mode, weir::room_mode::prequeue);
  EXPECT_EQ(load(dir.file(), config).seed, first.seed);
  config.name = "another";
  EXPECT_NE(load(dir.file(), config).seed, first.seed);
}

TEST(sqlite_room_store, keeps_rooms_of_one_file_apart) {
  const directory dir;
  auto other = config_of();
  other.name = "theatre";
  opened_store a{{.file = dir.file()}};
  opened_store b{{.file = dir.file()}, other};
  recorded_room as, bs;
  as.seed = a.image.seed;
  as.epoch = a.image.epoch;
  bs.seed = b.image.seed;
  bs.epoch = b.image.epoch;
  scribe writes{7};
  for (int i = 0; i < 40; ++i) {
    const auto records = writes.some();
    (i % 2 == 0 ? as : bs).apply(records);
    (i % 2 == 0 ? a : b).write(records);
  }
  a.store.stop();
  b.store.stop();
  expect_same(load(dir.file(), config_of(), writes.now), expected(as, config_of(), writes.now));
  expect_same(load(dir.file(), other, writes.now), expected(bs, other, writes.now));
}

// Times of another boot mean nothing; the wall clock says how long it took, and may be wrong.
TEST(sqlite_room_store, after_another_boot_nobody_has_more_time_than_before) {
  const auto wall = std::chrono::system_clock::time_point{std::chrono::hours{400'000}};
  const auto after = [&](std::chrono::system_clock::duration away, const std::string& boot, time_point loaded) {
    const directory dir;
    {
      opened_store s{{.file = dir.file(), .boot_id = "first", .wall_clock = [&] { return wall; }}};
      const time_point at = start + 100s;  // well after the load
      s.write_all({{.what = entered, .number = 1, .other = 5, .bind = 6, .at = at - 5s},
                   {.what = entered, .number = 2, .other = 5, .bind = 6, .at = at - 4s, .until = at + 600s},
                   {.what = offered, .number = 3, .at = at, .until = at + 30s}});
    }
    sqlite_room_store s{{.file = dir.file(), .boot_id = boot, .wall_clock = [&] { return wall + away; }}};
    auto image = s.load(config_of(), loaded);
    std::ranges::sort(image.sessions, {}, &room_image::session::place);
    return image;
  };
  const time_point now{7s};
  auto image = after(10s, "second", now);
  ASSERT_EQ(image.sessions.size(), 3U);
  EXPECT_EQ(image.sessions[0].until, weir::never);
  EXPECT_EQ(image.sessions[0].since, now - 15s);
  EXPECT_EQ(image.sessions[1].until, now + 590s);
  EXPECT_EQ(image.sessions[2].until, now + 20s);
  EXPECT_EQ(image.entries, (std::vector{now, now})) << "the strict limit holds for a whole period";
  image = after(10s, "second", time_point{100h});  // one that runs for longer already
  EXPECT_EQ(image.entries, (std::vector{time_point{100h}, time_point{100h}}));
  EXPECT_EQ(image.sessions[1].until, time_point{100h} + 590s);
  image = after(-24h, "second", now);
  EXPECT_EQ(image.sessions[1].until, now + 600s);
  EXPECT_EQ(image.sessions[2].until, now + 30s);
  EXPECT_LE(image.sessions[2].since, now);
  image = after(24h, "second", now);
  EXPECT_EQ(image.sessions[1].until, now);
  EXPECT_EQ(image.sessions[2].until, now);
  image = after(24h, "first", start + 101s);  // the same boot: the wall clock counts for nothing
  EXPECT_EQ(image.sessions[1].until, start + 700s);
  EXPECT_EQ(image.entries, (std::vector{start + 95s, start + 96s}));
}

TEST(sqlite_room_store, keeps_as_many_entries_as_a_changed_limit_asks_for) {
  const directory dir;
  weir::room_config config = config_of();
  config.admit = weir::rate{2, 10s};
  opened_store s{{.file = dir.file()}, config};
  const auto enter = [&](std::uint64_t n, time_point at) {
    return room_record{.what = entered, .number = n, .other = n + 1, .at = at, .until = at + 600s};
  };
  s.write_all({{.what = numbers, .number = 100, .other = 50},
               enter(0, start + 1s),
               {.what = limit, .number = 4, .other = 60'000'000'000},
               enter(1, start + 2s),
               enter(2, start + 30s),
               enter(3, start + 40s),
               {.what = limit, .number = 1, .other = 1},
               enter(4, start + 50s)});
  s.store.stop();
  config.admit = weir::rate{4, 60s};
  EXPECT_EQ(load(dir.file(), config, start + 60s).entries,
            (std::vector{start + 2s, start + 30s, start + 40s, start + 50s}));
}

TEST(sqlite_room_store, forgets_old_endings_and_the_subjects_of_their_seats) {
  const directory dir;
  constexpr std::uint64_t most = 65'536;
  opened_store s{{.file = dir.file()}};
  std::vector<room_record> records{{.what = numbers, .number = 100'000, .other = 70'000}};
  for (std::uint64_t i = 0; i < most + 10; ++i) {
    if (i < 20) records.push_back({.what = subject, .number = i, .other = 1000 + i});
    records.push_back({.what = gone, .state = seat_state::left, .number = i});
  }
  s.write(std::move(records));
  s.store.stop();
  const auto image = load(dir.file());
  ASSERT_EQ(image.endings.size(), most);
  EXPECT_EQ(image.endings.front().place, 10U);
  EXPECT_EQ(image.subjects.size(), 10U);
  EXPECT_EQ(image.lanes[0].head, most + 10);
}

TEST(sqlite_room_store, refuses_files_of_others_in_clear_words) {
  const auto why = [](const std::string& file) -> std::string {
    try {
      (void)load(file);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "no error";
  };
  {
    const directory dir;
    (void)load(dir.file());
    other_hand{dir.file()}.run("PRAGMA user_version = 1");
    EXPECT_THAT(why(dir.file()), HasSubstr("version 1, and only version 2 is understood"));
    EXPECT_THAT(why(dir.file()), HasSubstr("room \"concert\": " + dir.file()));
  }
  {
    const directory dir;
    other_hand{dir.file()}.run("CREATE TABLE orders (id INTEGER)");
    EXPECT_THAT(why(dir.file()), HasSubstr("is a database of something else"));
  }
  {
    const directory dir;
    std::ofstream{dir.file()} << std::string(5'000, 'x');
    EXPECT_THAT(why(dir.file()), HasSubstr("not a database"));
  }
  {
    const directory dir;
    opened_store s{{.file = dir.file()}};
    s.write_all({{.what = gone, .number = 1}});
    other_hand{dir.file()}.run("UPDATE block SET bits = x'00'");
    EXPECT_THAT(why(dir.file()), HasSubstr("damaged"));
  }
  EXPECT_THAT(why("/nowhere/at/all/rooms.db"), HasSubstr("unable to open"));
  EXPECT_THROW(sqlite_room_store{{.file = ""}}, std::invalid_argument);
  EXPECT_THROW((sqlite_room_store{{.file = "x", .most_waiting = 0}}), std::invalid_argument);
}

TEST(sqlite_room_store, says_so_where_nothing_may_be_written) {
  const directory dir;
  std::filesystem::permissions(dir.path, std::filesystem::perms{0555});
  const uid_t me = geteuid();
  ASSERT_TRUE(me != 0 || seteuid(65'534) == 0);  // nothing is forbidden to root
  EXPECT_THROW((void)load(dir.file()), std::runtime_error);
  ASSERT_TRUE(me != 0 || seteuid(me) == 0);
  std::filesystem::permissions(dir.path, std::filesystem::perms{0755});
}

TEST(sqlite_room_store, waits_for_somebody_elses_lock_and_then_writes_in_order) {
  const directory dir;
  opened_store s{{.file = dir.file(), .most_waiting = 10}};
  recorded_room naive;
  naive.seed = s.image.seed;
  naive.epoch = s.image.epoch;
  s.write_all({{.what = numbers, .number = 100}});
  naive.apply({.what = numbers, .number = 100});
  other_hand other{dir.file()};
  other.run("BEGIN IMMEDIATE");
  scribe writes{3};
  std::vector<room_record> first = writes.some();
  first.resize(5);
  naive.apply(first);
  s.write(first);
  EXPECT_THAT(s.heard.wait_fails(), HasSubstr("locked"));
  for (int i = 0; i < 10; ++i) {
    const auto records = writes.some();
    naive.apply(records);
    s.write(records);
  }
  EXPECT_EQ(s.heard.told().size(), 1U) << "called stored what is not";
  const auto too_many = [&] {
    return std::ranges::count_if(s.heard.fails(), [](const std::string& f) { return f.find("more than 10") != f.npos; });
  };
  for (int tries = 0; too_many() == 0 && tries < 20'000; ++tries) std::this_thread::sleep_for(1ms);
  other.run("COMMIT");
  ASSERT_TRUE(s.heard.wait_stored(s.upto));
  EXPECT_EQ(too_many(), 1);
  s.store.stop();
  expect_same(load(dir.file(), config_of(), writes.now), expected(naive, config_of(), writes.now));
}

TEST(sqlite_room_store, waits_while_the_disk_is_full) {
  const directory dir;
  opened_store s{{.file = dir.file()}};
  recorded_room naive;
  naive.seed = s.image.seed;
  naive.epoch = s.image.epoch;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto was = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 200'000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::vector<room_record> records;
  for (std::uint64_t k = 0; k < 500; ++k) records.push_back({.what = gone, .state = seat_state::left, .number = k * 4096});
  naive.apply(records);
  s.write(records);
  const std::string words = s.heard.wait_fails();
  EXPECT_TRUE(words.find("full") != words.npos || words.find("I/O") != words.npos) << words;
  EXPECT_THAT(s.heard.told(), testing::IsEmpty());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, was);
  ASSERT_TRUE(s.heard.wait_stored(s.upto));
  s.store.stop();
  expect_same(load(dir.file()), expected(naive, config_of(), start));
}

TEST(sqlite_room_store, has_one_owner_the_latest) {
  const directory dir;
  opened_store old{{.file = dir.file()}};
  old.write_all({{.what = gone, .number = 1}});
  opened_store young{{.file = dir.file()}};
  old.write({{.what = gone, .number = 2}});
  EXPECT_THAT(old.heard.wait_fails(), HasSubstr("owns it now"));
  young.write_all({{.what = gone, .number = 3}});
  old.store.stop();
  EXPECT_EQ(other_hand{dir.file()}.ask("SELECT count(*) FROM ending"), 2);
}

TEST(sqlite_room_store, keeps_every_bit_of_ids) {
  const directory dir;
  constexpr std::uint64_t ids[] = {0x8000000000000000U, 0xffffffffffffffffU, 0x7fffffffffffffffU};
  {
    opened_store s{{.file = dir.file(), .sync = weir::room_sync::power}};
    for (std::uint64_t i = 0; i < 3; ++i) {
      s.write({{.what = entered, .number = i, .other = ids[i], .bind = ids[2 - i], .at = start},
               {.what = subject, .number = i, .other = ids[i], .bind = ids[2 - i]}});
    }
  }
  const auto image = load(dir.file());
  ASSERT_EQ(image.sessions.size(), 3U);
  ASSERT_EQ(image.subjects.size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(image.sessions[i].id, ids[i]);
    EXPECT_EQ(image.sessions[i].bind, ids[2 - i]);
    EXPECT_EQ(image.subjects[i].subject, ids[i]);
    EXPECT_EQ(image.subjects[i].bind, ids[2 - i]);
  }
}

}  // namespace
