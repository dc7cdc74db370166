// kill -9 at any moment: a room on its SQLite store loses no seat that it has answered for, and gives nothing twice.
//
// The test starts itself again as the process that is killed. That one lives with a room: it first says how it finds every
// seat that the test knows of, and then has users join, claim, complete and leave, several at a time. Every answer is a
// line in a file, written when the room gives it. The test kills it, reads the lines, and goes on with another one.

#include "../support/child_process.hpp"

#include <weir/core/random.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/room/sqlite_room_store.hpp>
#include <weir/room/waiting_room.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using weir::room_refusal;
using weir::seat_state;
using room_type = weir::waiting_room<weir::hmac_signer>;

constexpr std::uint64_t bind_of_all = 7;
constexpr std::size_t most_living = 1'500;
constexpr std::uint32_t most_active = 40;
constexpr std::uint64_t kills_of_a_room = 13;  // each leaves 65,536 numbers behind
const std::string secret = "a secret of more than 32 bytes, for tests only";

weir::room_config config_of(const std::string& name) {
  weir::room_config c;
  c.name = name;
  c.claim_window = 1h;  // nobody lapses while nobody is there to claim
  if (name == "strict") {
    c.admit = weir::rate{50, 1s};
    c.pace = weir::room_pace::strict;
    c.session_ttl = 1h;
    c.session_max = 1h;
  } else {
    c.max_active = most_active;
    c.session_ttl = 1s;  // ends that nobody was told of are made good for
  }
  return c;
}

// ---- The process that is killed.

struct user {
  std::atomic<std::uint64_t> number{~std::uint64_t{0}};  // ~0: has not been answered
  std::atomic<std::uint64_t> session{0};
  std::atomic<bool> over{false};
};

/// One line for each answer, in one piece.
template <class... Words>
void say(const Words&... words) {
  std::ostringstream out;
  ((out << words << ' '), ...);
  out << '\n';
  const std::string line = out.str();
  if (write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::_Exit(3);
}
void say_inside(const weir::seat_view& v, weir::duration ttl) {
  say("in", v.seat.number, v.session, (v.session_expires - ttl).time_since_epoch().count());
}

struct asked : weir::room_request {
  asked() {
    complete = [](weir::room_request& r) noexcept { static_cast<asked&>(r).answered(); };
  }
  void answered() {
    const auto& v = answer.view;
    if (answer.why == room_refusal::none && joins && !answer.again) {
      say("join", v.seat.number);
      who->number = v.seat.number;
    } else if (joins) {
      who->over = true;  // has no seat of its own: makes room for others
    }
    if (answer.why == room_refusal::none && v.state == seat_state::active && !answer.again) {
      say_inside(v, ttl);
      who->session = v.session;
    }
    busy = false;
  }
  bool joins = false;
  user* who = nullptr;
  weir::duration ttl{};
  std::atomic<bool> busy{false};
};

class life {
 public:
  life(const std::string& file, const std::string& name, std::uint64_t seed)
      : random_(seed, "life"), store_{{.file = file}}, keys_{1, secret}, room_{config_of(name), keys_, &store_} {
    for (auto& r : asked_) r.ttl = room_.config().session_ttl;
  }

  /// How every seat is found: in the order of numbers, as their users would come and ask.
  void audit(const std::string& book) {
    std::ifstream lines{book};
    std::uint64_t number = 0;
    std::uint64_t session = 0;
    while (lines >> number >> session) {
      const weir::seat_holder who{{0, number}, 0, bind_of_all};
      weir::seat_view v = room_.look_at(who);
      if (v.state == seat_state::abandoned) {
        (void)room_.look(who);
        // It may be offered its turn at once, and until that is stored it is shown as the first of those who wait.
        while (room_.snapshot().unstored != 0) std::this_thread::sleep_for(1ms);
        v = room_.look_at(who);
      }
      say("see", number, to_string(v.state), v.session, v.position, room_.now().time_since_epoch().count());
      if (v.state == seat_state::active) say_inside(v, room_.config().session_ttl);
      user& u = users_.emplace_back();
      u.number = number;
      u.session = v.session;
      u.over = is_over(v.state);
    }
    const auto s = room_.snapshot();
    say("active", s.active, "waiting", s.waiting);
    say("audited");
  }

  void go_on() {
    if (random_.below(16) == 0) room_.pass();
    asked& r = asked_[random_.below(asked_.size())];
    if (r.busy) return;
    while (!users_.empty() && users_.front().over) users_.pop_front();
    const std::uint64_t what = random_.below(10);
    if (what < 4) {
      if (users_.size() >= most_living) return;
      r.joins = true;
      r.who = &users_.emplace_back();
      r.busy = true;
      if (room_.join(r, {0, random_.below(4) == 0 ? 1 + random_.below(100) : 0, bind_of_all})) r.answered();
      return;
    }
    if (users_.empty()) return;
    user& u = users_[random_.below(std::min<std::size_t>(users_.size(), what < 9 ? 100 : most_living))];
    if (u.number == ~std::uint64_t{0} || u.over) return;
    const weir::seat_holder who{{0, u.number}, 0, bind_of_all};
    if (what < 8) {
      r.joins = false;
      r.who = &u;
      r.busy = true;
      if (room_.claim(r, who)) r.answered();
    } else if (u.session != 0 || random_.below(30) == 0) {
      say("end", u.number.load());  // is asked for, and may be stored unanswered
      const auto answer = u.session != 0 ? room_.complete(who, u.session) : room_.leave(who);
      if (!is_over(answer.view.state)) return;
      u.over = true;
      say("over", u.number.load());
    }
  }
  void wait_for_answers() {
    for (auto& r : asked_) {
      while (r.busy) std::this_thread::sleep_for(1ms);
    }
  }

 private:
  weir::random_stream random_;
  std::deque<user> users_;
  std::array<asked, 16> asked_;
  weir::sqlite_room_store store_;
  weir::hmac_signer keys_;
  room_type room_;
};

/// FILE NAME BOOK SEED STEPS: lives for so many steps.
int live(char** arguments) {
  life one{arguments[0], arguments[1], std::strtoull(arguments[3], nullptr, 10)};
  one.audit(arguments[2]);
  const auto steps = std::strtoull(arguments[4], nullptr, 10);
  for (std::uint64_t i = 0; i < steps; ++i) one.go_on();
  one.wait_for_answers();
  return 0;
}

// ---- The test.

std::uint64_t crashes() {
  const char* text = std::getenv("WEIR_TEST_CRASHES");
  return text == nullptr ? 25 : std::strtoull(text, nullptr, 10);
}

/// What users have been told.
class book {
 public:
  explicit book(weir::duration ttl) : ttl_(ttl) {}

  struct seat {
    std::uint64_t session = 0;
    weir::time_point entered{};
    bool ending = false;  // has asked for it
    bool over = false;
  };

  void write(const std::string& file) const {
    std::ofstream out{file};
    for (const auto& [number, s] : seats_) {
      if (!s.over) out << number << ' ' << s.session << '\n';
    }
  }
  void read(const std::string& file) {
    std::ifstream in{file, std::ios::binary};
    std::string line;
    last_seen_.reset();
    while (std::getline(in, line) && !in.eof()) {  // what has no end was not said
      ASSERT_NO_FATAL_FAILURE(heard(line)) << line;
    }
  }
  /// No (t, t + per] holds more of them.
  void expect_entries_within(std::uint64_t permits, weir::duration per) const {
    std::vector<weir::time_point> all;
    for (const auto& [number, s] : seats_) {
      if (s.session != 0) all.push_back(s.entered);
    }
    std::ranges::sort(all);
    for (std::size_t i = permits; i < all.size(); ++i) ASSERT_GE(all[i], all[i - permits] + per) << i;
  }
  [[nodiscard]] std::size_t joined() const { return seats_.size(); }
  [[nodiscard]] std::size_t entered() const {
    return static_cast<std::size_t>(std::ranges::count_if(seats_, [](const auto& s) { return s.second.session != 0; }));
  }
  [[nodiscard]] std::size_t audits() const { return audits_; }

 private:
  void heard(const std::string& line) {
    std::istringstream words{line};
    std::string what;
    std::uint64_t number = 0;
    words >> what >> number;
    if (what == "join") {
      ASSERT_TRUE(seats_.try_emplace(number).second) << "given out twice";
    } else if (what == "in") {
      std::uint64_t session = 0;
      weir::duration::rep at = 0;
      words >> session >> at;
      ASSERT_TRUE(seats_.contains(number));
      seat& s = seats_[number];
      ASSERT_NE(session, 0U);
      ASSERT_TRUE(s.session == 0 || s.session == session) << "another session for the same seat";
      ASSERT_TRUE(s.session == 0 || s.entered.time_since_epoch().count() == at) << "entered again";
      s.session = session;
      s.entered = weir::time_point{weir::duration{at}};
    } else if (what == "end") {
      seats_.at(number).ending = true;
    } else if (what == "over") {
      seats_.at(number).over = true;
    } else if (what == "see") {
      see(number, words);
    } else if (what == "active") {
      if (ttl_ == 1s) {
        ASSERT_LE(number, most_active);
      }
    } else {
      ASSERT_EQ(what, "audited");
      ++audits_;
    }
  }
  void see(std::uint64_t number, std::istringstream& words) {
    std::string state;
    std::uint64_t session = 0;
    std::uint64_t position = 0;
    weir::duration::rep now = 0;
    words >> state >> session >> position >> now;
    seat& s = seats_.at(number);
    if (s.ending && (state == "left" || state == "completed")) {
      s.over = true;
      return;
    }
    if (s.session != 0) {
      if (state == "expired" && now >= (s.entered + ttl_).time_since_epoch().count()) {
        s.over = true;
        return;
      }
      ASSERT_EQ(state, "active");
      ASSERT_EQ(session, s.session);
    }
    if (state == "waiting") {
      ASSERT_TRUE(!last_seen_ || *last_seen_ < position) << "overtaken";
      last_seen_ = position;
    } else if (s.session == 0) {
      ASSERT_TRUE(state == "offered" || state == "active") << "lost";
      ASSERT_FALSE(last_seen_) << "let in before somebody with a smaller number";
    }
  }

  weir::duration ttl_;
  std::map<std::uint64_t, seat> seats_;
  std::optional<std::uint64_t> last_seen_;  // position
  std::size_t audits_ = 0;
};

class room_crash : public testing::TestWithParam<const char*> {
 protected:
  /// One room, killed so many times.
  void live_and_die(std::uint64_t kills) {
    const weir::testing_support::temporary_directory dir;
    const std::string name = GetParam();
    const std::string known = dir.path() / "book";
    book told{config_of(name).session_ttl};
    for (std::uint64_t i = 0; i <= kills; ++i) {
      SCOPED_TRACE("process " + std::to_string(i));
      const std::string log = dir.path() / "answers";
      told.write(known);
      const bool last = i == kills;
      weir::testing_support::child_process child{{"/proc/self/exe", "--live", dir.path() / "rooms.db", name, known,
                                                  std::to_string(random_()), last ? "300" : "1000000000"},
                                                 log};
      if (last) {
        ASSERT_EQ(child.wait(60s), 0);
      } else {
        ASSERT_NO_FATAL_FAILURE(kill_sometime(child, log));
      }
      ASSERT_NO_FATAL_FAILURE(told.read(log));
      std::filesystem::remove(log);
    }
    if (name == "strict") told.expect_entries_within(50, 1s);
    EXPECT_GE(told.audits(), kills / 2);
    joined_ += told.joined();
    entered_ += told.entered();
  }
  std::size_t joined_ = 0, entered_ = 0;

 private:
  void kill_sometime(weir::testing_support::child_process& child, const std::string& log) {
    const bool early = random_.below(5) == 0;
    const auto has_begun = [&] {
      std::ifstream in{log, std::ios::binary};
      std::string all{std::istreambuf_iterator<char>{in}, {}};
      // With something answered since, however slow the disk is.
      constexpr std::string_view audited = "audited \n";
      return early ? in.is_open() : all.find(audited) < all.size() - std::min(all.size(), audited.size());
    };
    for (int tries = 0; tries < 60'000 && !has_begun() && child.running(); ++tries) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(std::chrono::microseconds{random_.below(30'000)});
    ASSERT_TRUE(child.running()) << std::ifstream{log}.rdbuf();
    child.signal(SIGKILL);
    ASSERT_EQ(child.wait(30s), -SIGKILL);
  }

  weir::random_stream random_{static_cast<std::uint64_t>(getpid()), "crashes"};
};

TEST_P(room_crash, loses_no_answered_seat_and_gives_nothing_twice) {
  const std::uint64_t kills = (crashes() + 1) / 2;  // the other half is the other room's
  for (std::uint64_t done = 0; done < kills; done += std::min(kills_of_a_room, kills - done)) {
    live_and_die(std::min(kills_of_a_room, kills - done));
    if (HasFailure()) return;
  }
  EXPECT_GT(entered_, 0U);
  std::printf("%s: %llu kills, %zu seats answered, %zu entered\n", GetParam(), static_cast<unsigned long long>(kills),
              joined_, entered_);
}

INSTANTIATE_TEST_SUITE_P(rooms, room_crash, testing::Values("strict", "teller"), [](const auto& i) { return i.param; });

TEST(room_crash, a_million_who_wait_are_served_again_within_a_second) {
  const weir::testing_support::temporary_directory dir;
  const std::string db = dir.path() / "rooms.db";
  weir::room_config config = config_of("strict");
  config.capacity = 2'000'000;
  {
    struct : weir::room_store::listener {
      void stored(std::uint64_t) noexcept override {}
      void store_fails(std::string_view) noexcept override {}
    } nobody;
    weir::sqlite_room_store store{{.file = db}};
    (void)store.load(config, weir::default_clock{}.now());
    store.start(nobody);
    using enum weir::room_record::kind;
    std::vector<weir::room_record> records{{.what = numbers, .number = 1'100'000, .other = 1'050'000}};
    for (std::uint64_t i = 0; i < 1'050'000; i += 21) {
      records.push_back({.what = gone, .state = seat_state::left, .number = i});
    }
    store.write(std::move(records), 1);
    store.stop();
  }
  const auto began = std::chrono::steady_clock::now();
  weir::sqlite_room_store store{{.file = db}};
  const weir::hmac_signer keys{1, secret};
  room_type room{config, keys, &store};
  const auto answer = room.look({{0, 1'049'999}, 0, bind_of_all});
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  EXPECT_EQ(answer.view.state, seat_state::waiting);
  EXPECT_EQ(answer.view.position + room.snapshot().offered, 1'000'000U);
  std::printf("1000000 waiting: the first look is answered after %.3f s\n", took);
  EXPECT_LT(took, 5);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 7 && std::strcmp(arguments[1], "--live") == 0) return live(arguments + 2);
  testing::InitGoogleTest(&count, arguments);
  return RUN_ALL_TESTS();
}
