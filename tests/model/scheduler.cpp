#include "scheduler.hpp"

#include <gtest/gtest.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace model {
namespace {

constexpr std::size_t stack_size = std::size_t{256} * 1024;
constexpr int none = -1;

using thread_mask = std::uint32_t;
constexpr thread_mask only(unsigned t) { return thread_mask{1} << t; }
unsigned first_of(thread_mask m) { return static_cast<unsigned>(__builtin_ctz(m)); }

/// How many steps of each thread happen before something, itself included.
struct clock_vector {
  std::array<std::uint32_t, max_threads> steps{};

  void join(const clock_vector& other) {
    for (unsigned t = 0; t < max_threads; ++t) steps[t] = std::max(steps[t], other.steps[t]);
  }
};

/// A step that was made in this run.
struct made_step {
  unsigned thread = 0;
  access what;
  bool writes = false;
  clock_vector clock;
  std::uint64_t before = 0, after = 0;
};

/// Who last touched a place in this run: indices of steps.
struct place {
  int last_write = none;  // of a mutex: the last lock
  int last_unlock = none;
  std::array<int, max_threads> reads{none, none, none, none};  // since the last write

  void written_by(int step) {
    last_write = step;
    reads.fill(none);
  }
};

/// A state on the path that is being explored, and what has been and is to be explored from there.
struct choice {
  unsigned chosen = 0;
  thread_mask enabled = 0;
  thread_mask backtrack = 0;  // to be explored, or done
  thread_mask sleep = 0;      // leads to nothing new
};

struct fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack{new char[stack_size]};
  std::function<void()> body;
  bool finished = false;
  access next;
  clock_vector clock;
};

struct named {
  const char* begin;
  std::size_t size;
  const char* name;
};

bool same_bits(const access& a) {
  std::uint64_t now = 0;
  std::memcpy(&now, a.where, a.size);
  return now == a.expected;
}

/// Whether it would change the place if it came now. An unsuccessful compare-and-swap is a load.
bool would_write(const access& a) {
  return a.what == op::compare_exchange ? same_bits(a) : a.what != op::load && a.what != op::wait;
}

bool conflict(const access& a, const access& b) { return a.where == b.where && (would_write(a) || would_write(b)); }

bool can_go_on(const access& a) {
  const auto flag = [&a] { return *static_cast<const std::uint8_t*>(a.where); };
  return a.what == op::lock ? flag() == 0 : a.what == op::wait ? flag() != 0 : true;
}

class scheduler {
 public:
  explored explore(const std::function<void(run&)>& program, const options& how);
  void run_threads(std::initializer_list<std::function<void()>> bodies);
  void step(const access& next);
  void step_done(std::uint64_t before, std::uint64_t after) {
    if (running_ == none) return;
    trace_.back().before = before;
    trace_.back().after = after;
  }
  [[nodiscard]] unsigned current_thread() const { return static_cast<unsigned>(running_ + 1); }
  void add_name(const void* begin, std::size_t size, const char* name) {
    names_.push_back({static_cast<const char*>(begin), size, name});
  }
  void print_schedule() const;
  [[noreturn]] void give_up(const char* why) const;

 private:
  static void enter(unsigned index);

  [[nodiscard]] bool next_schedule();
  [[nodiscard]] int choose();
  [[nodiscard]] unsigned decide(thread_mask enabled);
  [[nodiscard]] thread_mask asleep_after(const choice& here, unsigned chosen) const;
  void make(unsigned thread);
  void find_races(unsigned thread, int index, const place& at, bool writes, const clock_vector& after);
  void race(int earlier, unsigned thread, int index, const clock_vector& order);
  [[nodiscard]] bool before(int step, const clock_vector& clock) const {
    const made_step& s = trace_[static_cast<std::size_t>(step)];
    return s.clock.steps[s.thread] <= clock.steps[s.thread];
  }
  void switch_to(int thread);
  [[nodiscard]] std::string place_name(const void* where) const;
  [[nodiscard]] std::string schedule() const;
  void read_wanted_schedule();

  options how_;
  std::array<fiber, max_threads> fibers_;
  unsigned threads_ = 0;
  ucontext_t outside_{};
  int running_ = none;
  bool starting_ = false, redundant_ = false, exploring_ = false;
  std::vector<choice> path_;
  std::size_t replayed_ = 0;  // so many choices of the path are given
  std::vector<made_step> trace_;
  std::unordered_map<const void*, place> places_;
  std::vector<named> names_;
  std::vector<unsigned> wanted_;  // by WEIR_MODEL_SCHEDULE
  bool has_wanted_ = false;
};

scheduler& the_scheduler() {
  static scheduler one;
  return one;
}

// --- one run

void scheduler::enter(unsigned index) {
  scheduler& s = the_scheduler();
  fiber& self = s.fibers_[index];
  self.body();
  self.finished = true;
  s.switch_to(s.starting_ ? none : s.choose());
  std::abort();  // nobody goes on with a thread that has ended
}

void scheduler::switch_to(int thread) {
  const int from = std::exchange(running_, thread);
  if (from == thread) return;
  const auto context = [this](int t) { return t == none ? &outside_ : &fibers_[static_cast<std::size_t>(t)].context; };
  swapcontext(context(from), context(thread));
}

void scheduler::run_threads(std::initializer_list<std::function<void()>> bodies) {
  if (bodies.size() > max_threads || threads_ != 0 || !exploring_) std::abort();
  threads_ = static_cast<unsigned>(bodies.size());
  starting_ = true;
  unsigned index = 0;
  for (const auto& body : bodies) {
    fiber& f = fibers_[index];
    f.body = body;
    f.finished = false;
    f.clock = {};
    getcontext(&f.context);
    f.context.uc_stack = {.ss_sp = f.stack.get(), .ss_flags = 0, .ss_size = stack_size};
    f.context.uc_link = nullptr;
    makecontext(&f.context, reinterpret_cast<void (*)()>(enter), 1, index);
    switch_to(static_cast<int>(index));  // up to its first step
    ++index;
  }
  starting_ = false;
  switch_to(choose());
}

void scheduler::step(const access& next) {
  if (running_ == none) return;
  fibers_[static_cast<std::size_t>(running_)].next = next;
  switch_to(starting_ ? none : choose());
}

/// Whose turn it is, and makes that step for the record. `none`: all have ended.
int scheduler::choose() {
  thread_mask enabled = 0;
  bool alive = false;
  for (unsigned t = 0; t < threads_; ++t) {
    if (fibers_[t].finished) continue;
    alive = true;
    if (can_go_on(fibers_[t].next)) enabled |= only(t);
  }
  if (!alive) return none;
  if (enabled == 0) give_up("deadlock: nobody can go on");
  if (trace_.size() >= how_.max_steps) give_up("too many steps: a livelock?");
  const unsigned chosen = decide(enabled);
  make(chosen);
  return static_cast<int>(chosen);
}

unsigned scheduler::decide(thread_mask enabled) {
  const std::size_t depth = trace_.size();
  if (has_wanted_) {
    const bool given = depth < wanted_.size() && (enabled & only(wanted_[depth])) != 0;
    return given ? wanted_[depth] : first_of(enabled);
  }
  if (redundant_) return first_of(enabled);  // only to get to the end
  if (depth < replayed_) {
    if (path_[depth].enabled != enabled) give_up("the program does not do the same under the same schedule");
    return path_[depth].chosen;
  }
  choice here{.enabled = enabled};
  if (how_.reduced && depth > 0) here.sleep = asleep_after(path_[depth - 1], path_[depth - 1].chosen);
  const thread_mask fresh = enabled & ~here.sleep;
  if (fresh == 0) {
    redundant_ = true;
    return first_of(enabled);
  }
  const thread_mask last = depth > 0 ? only(path_[depth - 1].chosen) : 0;
  here.chosen = first_of((fresh & last) != 0 ? last : fresh);
  here.backtrack = how_.reduced ? only(here.chosen) : enabled;
  path_.push_back(here);
  return here.chosen;
}

/// Filled in by `make`, before the step is made: who of the sleepers does not conflict with it.
thread_mask scheduler::asleep_after(const choice& here, unsigned) const { return here.sleep_after; }

}  // namespace
}  // namespace model
