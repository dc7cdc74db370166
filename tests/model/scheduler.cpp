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
  thread_mask done = 0;
  thread_mask sleep = 0;  // leads to nothing new
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
  static void prepare(fiber& f, unsigned index);

  [[nodiscard]] bool next_schedule();
  [[nodiscard]] int choose();
  [[nodiscard]] unsigned decide(thread_mask enabled);
  void make(unsigned thread);
  void find_races(unsigned thread, int index, const place& at, bool writes, const clock_vector& before);
  void race(int earlier, unsigned thread, int index, const clock_vector& order);
  [[nodiscard]] bool happens_before(int step, const clock_vector& clock) const {
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
  thread_mask asleep_ = 0;  // in the present state
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

void scheduler::prepare(fiber& f, unsigned index) {
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = f.stack.get();
  f.context.uc_stack.ss_size = stack_size;
  f.context.uc_link = nullptr;
  makecontext(&f.context, reinterpret_cast<void (*)()>(enter), 1, index);
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
    prepare(f, index);
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
  choice here;
  here.enabled = enabled;
  here.sleep = asleep_;
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

/// The step of `thread` is the next one.
void scheduler::make(unsigned thread) {
  const int index = static_cast<int>(trace_.size());
  fiber& self = fibers_[thread];
  const bool writes = would_write(self.next);
  const bool recorded = !redundant_ && !has_wanted_ && how_.reduced;
  if (recorded) {
    const choice& here = path_[trace_.size()];
    asleep_ = (here.sleep | here.done) & ~only(thread);
    for (unsigned t = 0; t < threads_; ++t) {
      if ((asleep_ & only(t)) != 0 && conflict(fibers_[t].next, self.next)) asleep_ &= ~only(t);
    }
  }
  place& at = places_[self.next.where];
  const auto join = [&](int step) {
    if (step != none) self.clock.join(trace_[static_cast<std::size_t>(step)].clock);
  };
  const clock_vector before = self.clock;
  if (self.next.what == op::lock) {
    join(at.last_unlock);
  } else if (self.next.what != op::unlock) {
    join(at.last_write);
    if (writes) std::for_each(at.reads.begin(), at.reads.end(), join);
  }
  if (recorded) find_races(thread, index, at, writes, before);
  ++self.clock.steps[thread];
  made_step made;
  made.thread = thread;
  made.what = self.next;
  made.writes = writes;
  made.clock = self.clock;
  trace_.push_back(made);
  if (self.next.what == op::unlock) {
    at.last_unlock = index;
  } else if (writes) {
    at.written_by(index);
  } else {
    at.reads[thread] = index;
  }
}

/// Which earlier steps could have come after this one, with another effect. Those of locks: it is the locking that races,
/// what the unlocking has seen does not matter.
void scheduler::find_races(unsigned thread, int index, const place& at, bool writes, const clock_vector& before) {
  const op what = fibers_[thread].next.what;
  if (what == op::unlock || what == op::wait || what == op::set) return;
  const clock_vector& order = what == op::lock ? before : fibers_[thread].clock;
  const auto consider = [&](int earlier) {
    if (earlier != none && !happens_before(earlier, before)) race(earlier, thread, index, order);
  };
  if (writes && std::any_of(at.reads.begin(), at.reads.end(), [](int read) { return read != none; })) {
    std::for_each(at.reads.begin(), at.reads.end(), consider);  // the last write comes before all of them
  } else {
    consider(at.last_write);
  }
}

/// `earlier` conflicts with step `index` of `thread`, which may come first: sees to it that a schedule in which it does
/// will be explored. It can begin with any thread whose first step, of those that do not happen after `earlier`, needs none
/// of the others of them.
void scheduler::race(int earlier, unsigned thread, int index, const clock_vector& order) {
  const made_step& first = trace_[static_cast<std::size_t>(earlier)];
  clock_vector begun;  // steps of each thread that lie behind `earlier` and are no consequence of it: the first of them
  thread_mask beginnings = 0, seen = 0;
  const auto needs_none = [&](const clock_vector& clock) {
    for (unsigned t = 0; t < threads_; ++t) {
      if ((seen & only(t)) != 0 && begun.steps[t] <= clock.steps[t]) return false;
    }
    return true;
  };
  for (int i = earlier + 1; i < index; ++i) {
    const made_step& s = trace_[static_cast<std::size_t>(i)];
    if (first.clock.steps[first.thread] <= s.clock.steps[first.thread]) continue;
    if ((seen & only(s.thread)) != 0) continue;
    if (needs_none(s.clock)) beginnings |= only(s.thread);
    seen |= only(s.thread);
    begun.steps[s.thread] = s.clock.steps[s.thread];
  }
  if ((seen & only(thread)) == 0 && needs_none(order)) beginnings |= only(thread);
  choice& there = path_[static_cast<std::size_t>(earlier)];
  if ((there.backtrack & beginnings) != 0) return;
  if ((beginnings & ~there.enabled) != 0) std::abort();
  there.backtrack |= (beginnings & only(thread)) != 0 ? only(thread) : only(first_of(beginnings));
}

// --- all runs

/// Goes to the next unexplored choice. False: there is none.
bool scheduler::next_schedule() {
  while (!path_.empty()) {
    choice& last = path_.back();
    last.done |= only(last.chosen);
    const thread_mask left = last.backtrack & ~last.done & ~last.sleep;
    if (left != 0) {
      last.chosen = first_of(left);
      replayed_ = path_.size();
      return true;
    }
    path_.pop_back();
  }
  return false;
}

explored scheduler::explore(const std::function<void(run&)>& program, const options& how) {
  how_ = how;
  path_.clear();
  replayed_ = 0;
  exploring_ = true;
  read_wanted_schedule();
  const auto print_and_die = [](int) { the_scheduler().give_up("the program has crashed"); };
  const auto on_abort = std::signal(SIGABRT, print_and_die), on_fault = std::signal(SIGSEGV, print_and_die);
  explored all;
  do {
    threads_ = 0;
    redundant_ = false;
    asleep_ = 0;
    trace_.clear();
    places_.clear();
    names_.clear();
    run here;
    program(here);
    all.longest = std::max(all.longest, static_cast<std::uint32_t>(trace_.size()));
    ++(redundant_ ? all.redundant : all.schedules);
    if (testing::Test::HasFailure()) {
      print_schedule();
      break;
    }
    if (has_wanted_) {
      print_schedule();
      break;
    }
    if (all.schedules > how_.max_schedules) {
      ADD_FAILURE() << "more than " << how_.max_schedules << " schedules: not exhaustive";
      break;
    }
  } while (next_schedule());
  exploring_ = false;
  std::signal(SIGABRT, on_abort);
  std::signal(SIGSEGV, on_fault);
  if (!how_.quiet) {
    std::printf("[ schedules] %llu run to the end (and %llu begun that were equivalent to others), longest %u steps\n",
                static_cast<unsigned long long>(all.schedules), static_cast<unsigned long long>(all.redundant),
                all.longest);
  }
  return all;
}

// --- telling

std::string scheduler::place_name(const void* where) const {
  const char* at = static_cast<const char*>(where);
  for (const named& n : names_) {
    if (at >= n.begin && at < n.begin + n.size) return std::string{n.name} + "+" + std::to_string(at - n.begin);
  }
  char text[32];
  std::snprintf(text, sizeof text, "%p", where);
  return text;
}

/// thread*steps, thread*steps, ...
std::string scheduler::schedule() const {
  std::string all;
  for (std::size_t i = 0; i < trace_.size();) {
    std::size_t end = i;
    while (end < trace_.size() && trace_[end].thread == trace_[i].thread) ++end;
    all += (i == 0 ? "" : ",") + std::to_string(trace_[i].thread) + "*" + std::to_string(end - i);
    i = end;
  }
  return all;
}

void scheduler::read_wanted_schedule() {
  wanted_.clear();
  const char* text = std::getenv("WEIR_MODEL_SCHEDULE");
  has_wanted_ = text != nullptr;
  unsigned thread = 0, steps = 0;
  int length = 0;
  while (text != nullptr && std::sscanf(text, "%u*%u%n", &thread, &steps, &length) == 2) {
    wanted_.insert(wanted_.end(), steps, thread);
    text += length;
    if (*text == ',') ++text;
  }
}

void scheduler::print_schedule() const {
  constexpr std::array<const char*, 8> names{"load", "store",  "modify", "compare_exchange",
                                             "lock", "unlock", "wait",   "set"};
  std::printf("--- schedule of %zu steps\n", trace_.size());
  constexpr std::size_t most = 500;
  if (trace_.size() > most) std::printf("  ...  the first %zu are left out\n", trace_.size() - most);
  for (std::size_t i = trace_.size() > most ? trace_.size() - most : 0; i < trace_.size(); ++i) {
    const made_step& s = trace_[i];
    std::printf("%5zu  thread %u  %*s%-16s %s", i, s.thread, static_cast<int>(4 * s.thread), "",
                names[static_cast<std::size_t>(s.what.what)], place_name(s.what.where).c_str());
    if (s.what.what <= op::compare_exchange) {
      std::printf("  %#llx", static_cast<unsigned long long>(s.before));
      if (s.writes) std::printf(" -> %#llx", static_cast<unsigned long long>(s.after));
      if (s.what.what == op::compare_exchange && !s.writes) std::printf("  failed");
    }
    std::printf("\n");
  }
  for (unsigned t = 0; t < threads_; ++t) {
    if (fibers_[t].finished) continue;
    std::printf("       thread %u is before %s %s\n", t, names[static_cast<std::size_t>(fibers_[t].next.what)],
                place_name(fibers_[t].next.where).c_str());
  }
  std::printf("again: WEIR_MODEL_SCHEDULE=%s\n", schedule().c_str());
  std::fflush(stdout);
}

/// The stacks of the threads cannot be unwound, and the objects of the run not be destroyed: the program ends here.
void scheduler::give_up(const char* why) const {
  std::signal(SIGABRT, SIG_DFL);
  print_schedule();
  std::printf("%s:%d: Failure\n%s\n", __FILE__, __LINE__, why);
  std::fflush(stdout);
  std::_Exit(1);
}

}  // namespace

void step(const access& next) noexcept { the_scheduler().step(next); }
void step_done(std::uint64_t before, std::uint64_t after) noexcept { the_scheduler().step_done(before, after); }
unsigned current_thread() noexcept { return the_scheduler().current_thread(); }
void run::threads(std::initializer_list<std::function<void()>> bodies) { the_scheduler().run_threads(bodies); }
void run::add_name(const void* begin, std::size_t size, const char* name) { the_scheduler().add_name(begin, size, name); }
explored explore(const std::function<void(run&)>& program, const options& how) {
  return the_scheduler().explore(program, how);
}

void event::set() noexcept {
  step({.what = op::set, .size = 1, .where = &set_, .expected = 0});
  EXPECT_EQ(set_, 0) << "an event that was set already";
  set_ = 1;
}
void event::wait() noexcept { step({.what = op::wait, .size = 1, .where = &set_, .expected = 0}); }

}  // namespace model
