#pragma once
/// \file
/// `pool_slot`: the place of one connection in a pool, and the two steps that need no lock: taking a connection that is
/// open to be taken, and putting it back.

#include <weir/core/admission.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/intrusive_list.hpp>
#include <weir/core/time.hpp>
#include <weir/stats/coarse_histogram.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>
#include <string_view>

namespace weir::inline v0 {

/// What a place in the pool holds. All but `vacant` and `lost` count against max_size. `lost`: a connection that was
/// aborted because its user did not give it back, until he does.
enum class slot_state : std::uint8_t { vacant, connecting, idle, in_use, validating, resetting, closing, lost };
inline constexpr std::size_t slot_state_count = 8;
inline constexpr std::string_view slot_state_names[slot_state_count] = {"vacant",     "connecting", "idle",    "in_use",
                                                                        "validating", "resetting",  "closing", "lost"};

/// Why a connection was closed.
enum class close_reason : std::uint8_t {
  none,
  lifetime,     ///< as old as connections get
  idle,         ///< unused for idle_timeout
  broken,       ///< found broken when it came back
  validation,   ///< did not answer
  reset,        ///< could not be made as good as new
  invalidated,  ///< by `invalidate`, or with others that broke
  discarded,    ///< by its user
  shrink,       ///< max_size was lowered
  shutdown,     ///< the pool was closed
  leak,         ///< taken back from who held it for too long
  detached,     ///< not closed: taken out of the pool by its user
};
inline constexpr std::size_t close_reason_count = 12;
inline constexpr std::string_view close_reason_names[close_reason_count] = {
    "none",        "lifetime",  "idle",   "broken",   "validation", "reset",
    "invalidated", "discarded", "shrink", "shutdown", "leak",       "detached"};

namespace detail {

/// How much of `text` goes into `most` bytes: all, or so much that no character of UTF-8 is cut in two.
[[nodiscard]] inline std::size_t fitting(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) return text.size();
  std::size_t at = most;
  while (at != 0 && most - at < 3 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

/// A short text that one thread writes while others may read it: cut off after 31 bytes, never mixed up if the reader
/// checks a version around it.
class shared_text {
 public:
  static constexpr std::size_t most = 31;

  void assign(std::string_view text) noexcept {
    if (text.empty()) return words_[0].store(0, relaxed);
    std::array<char, sizeof(words_)> bytes{};
    std::memcpy(bytes.data(), text.data(), fitting(text, most));
    for (std::size_t i = 0; i < words_.size(); ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
      words_[i].store(word, relaxed);
    }
  }
  /// Into `to`, of at least most + 1 characters, with a zero at the end.
  void copy(char* to) const noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      const std::uint64_t word = words_[i].load(relaxed);
      std::memcpy(to + i * sizeof word, &word, sizeof word);
    }
    to[std::strlen(to)] = '\0';
  }

 private:
  std::array<atomic<std::uint64_t>, 4> words_{};
};

}  // namespace detail

/// Shells derive from it and add the connection. A line of its own: a neighbour that is taken and put back by another
/// thread costs twice the time otherwise.
///
/// Everything in it is guarded by the pool's lock, but for what its holder owns, and for `word`: {state : 3 | open : 1}. An
/// *open* slot is idle or in use, and goes from one to the other without the lock, by compare-and-swap. The pool makes a
/// slot open when it puts it on the list of idle ones, and closes it, under the lock, as soon as anybody has to be told of
/// it: before the first waiter lines up no slot is open any more. So whoever finds one open overtakes nobody, and a
/// connection put back into an open slot is missed by nobody; neither needs to look at anything else.
class alignas(detail::cache_line) pool_slot : public detail::list_hook {
 public:
  /// A lease as others see it.
  struct use {
    char tag[detail::shared_text::most + 1]{};
    const char* file = nullptr;
    const char* touched_file = nullptr;
    std::uint32_t line = 0;
    std::uint32_t touched_line = 0;
    time_point since{};
  };

  /// Without the lock, from any thread: true if it was open and idle, and is now the caller's.
  [[nodiscard]] bool try_take() noexcept {
    std::uint32_t expected = open_idle;
    return word_.compare_exchange_strong(expected, open_in_use, detail::acquire, detail::relaxed);
  }
  /// Without the lock, by its holder: true if it was open, and is idle now.
  [[nodiscard]] bool try_put() noexcept {
    std::uint32_t expected = open_in_use;
    return word_.compare_exchange_strong(expected, open_idle, detail::release, detail::relaxed);
  }

  // Under the pool's lock.
  [[nodiscard]] slot_state state() const noexcept {
    return static_cast<slot_state>(word_.load(detail::acquire) & state_mask);
  }
  /// Its user has not given it back. Under the pool's lock.
  [[nodiscard]] bool is_held() const noexcept {
    const slot_state s = state();
    return s == slot_state::in_use || (s == slot_state::lost && due == never);
  }
  [[nodiscard]] bool is_open() const noexcept { return (word_.load(detail::relaxed) & open_bit) != 0; }
  /// Precondition: not open.
  void set_state(slot_state s) noexcept { word_.store(static_cast<std::uint32_t>(s), detail::release); }
  void open() noexcept { word_.store(open_idle, detail::release); }
  /// Nobody takes or puts it without the lock any more. The state in which it is.
  slot_state shut() noexcept { return static_cast<slot_state>(word_.fetch_and(~open_bit, detail::acq_rel) & state_mask); }

  // By the holder, from taking to putting.
  void begin_use(time_point now, std::string_view tag, const std::source_location& where) noexcept {
    uses_.store(uses_.load(detail::relaxed) + 1, detail::release);
    tag_.assign(tag);
    file_.store(where.file_name(), detail::relaxed);
    line_.store(where.line(), detail::relaxed);
    if (touched_file_.load(detail::relaxed) != nullptr) touched_file_.store(nullptr, detail::relaxed);
    since_.store(now.time_since_epoch().count(), detail::release);
  }
  void touch(const std::source_location& where) noexcept {
    touched_line_.store(where.line(), detail::relaxed);
    touched_file_.store(where.file_name(), detail::relaxed);
  }
  /// `thread` has it: a number of the caller's, not 0.
  void is_with(std::uint64_t thread) noexcept {
    holder_.store(thread, detail::relaxed);
    holder_use_.store(uses(), detail::relaxed);
  }
  /// Counts the use that ends now, and notes since when the connection will have been idle.
  void end_use(time_point now, duration fresh) noexcept {
    last_use = elapsed(since(), now);
    since_.store(nobody, detail::relaxed);
    held.record(last_use);
    idle_since = now;
    fresh_until = later(now, fresh);
  }
  /// How long its connections have been in use, all together and without what they were lost. Under the pool's lock.
  [[nodiscard]] duration in_use_until(time_point now) const noexcept {
    if (state() == slot_state::lost) return counted;
    // In this order: a use that ends meanwhile is missing for a moment, and not counted twice.
    const duration ended = held.sum();
    std::atomic_thread_fence(detail::acquire);
    const time_point taken = since();
    const bool runs = state() == slot_state::in_use && taken != never;
    return ended - uncounted + (runs ? std::max(duration::zero(), elapsed(taken, now)) : duration::zero());
  }
  /// `never`: it is nobody's, or was taken just now.
  [[nodiscard]] time_point since() const noexcept { return time_point{duration{since_.load(detail::relaxed)}}; }

  // By anybody.
  [[nodiscard]] std::uint64_t uses() const noexcept { return uses_.load(detail::acquire); }
  /// Whether `is_with(thread)` was said of the present use.
  [[nodiscard]] bool was_with(std::uint64_t thread) const noexcept {
    return holder_.load(detail::relaxed) == thread && holder_use_.load(detail::relaxed) == uses();
  }
  /// Whose it is; false: it went from one to the next just now.
  [[nodiscard]] bool read_use(use& u) const noexcept {
    // What is copied is written only while it is nobody's.
    const std::uint64_t before = uses();
    const time_point taken = time_point{duration{since_.load(detail::acquire)}};
    if (taken == never) return false;
    copy_use(u);
    u.since = taken;
    std::atomic_thread_fence(detail::acquire);
    return since() == taken && uses_.load(detail::relaxed) == before;
  }
  /// Of who has called `end_use`, by that thread.
  [[nodiscard]] use ended_use() const noexcept {
    use u;
    copy_use(u);
    u.since = later(idle_since, -last_use);
    return u;
  }

 private:
  void copy_use(use& u) const noexcept {
    tag_.copy(u.tag);
    u.file = file_.load(detail::relaxed);
    u.line = line_.load(detail::relaxed);
    u.touched_file = touched_file_.load(detail::relaxed);
    u.touched_line = touched_line_.load(detail::relaxed);
  }

  static constexpr std::uint32_t state_mask = 7, open_bit = 8;
  static constexpr duration::rep nobody = never.time_since_epoch().count();
  static constexpr std::uint32_t open_idle = open_bit | static_cast<std::uint32_t>(slot_state::idle);
  static constexpr std::uint32_t open_in_use = open_bit | static_cast<std::uint32_t>(slot_state::in_use);

  detail::atomic<std::uint32_t> word_{0};
  detail::atomic<std::uint32_t> line_{0}, touched_line_{0};
  detail::atomic<std::uint64_t> uses_{0};
  detail::atomic<duration::rep> since_{nobody};

 public:
  // The holder's while in use, the pool's else.
  time_point fresh_until{};  ///< may be used without a question until then
  time_point idle_since{};
  duration last_use{};          ///< how long it was held last
  time_point renew_at = never;  ///< planned end of its life; set while it is nobody's

 private:
  detail::atomic<const char*> file_{nullptr}, touched_file_{nullptr};
  detail::shared_text tag_;
  detail::atomic<std::uint64_t> holder_{0}, holder_use_{0};

 public:
  coarse_histogram held;  ///< how long its uses lasted, over all connections of this place
  /// Why its user does not want it to be used again. The holder's until it comes back.
  char note[detail::shared_text::most + 1]{};

  // The pool's.
  std::uint32_t id = 0;  ///< of the place
  std::uint32_t endpoint = 0;
  std::uint32_t attempt = 0;
  std::uint32_t tenant = 0;  ///< its user's, where tenants have shares
  std::uint64_t generation = 0;
  std::uint64_t number = 0;        ///< counts connections: of the one that is or was here
  std::uint64_t job = 0;           ///< counts what is under way, or was, of whatever kind
  std::uint64_t reported_use = 0;  ///< the use that was reported as leaked
  time_point born{};
  time_point dies_at = never;  ///< hard end of its life
  time_point keepalive_at = never;
  time_point due = never;  ///< when what is under way has to be finished
  time_point began{};      ///< when that began
  close_reason closing{};
  bool overdue = false;  ///< what is under way takes too long
  bool unheard = false;  ///< and the shell does not know yet
  bool keeping_alive = false;
  std::uint64_t leaked_use = 0;  ///< the use that is to be ended, for having lasted too long
  duration counted{};            ///< lost: `in_use_until` when that began
  duration uncounted{};          ///< of `held`, what was no use any more
  bool to_abort = false;         ///< the shell does not know yet that it is to be aborted
  bool aborting = false;         ///< it is, or is about to be: what comes back meanwhile is closed after it
  bool aborted = false;          ///< of no use any more to who has it
  bool ousting = false;          ///< aborting, and counted by the pool until that has ended
  bool detaching = false;        ///< its user takes it out: not to be aborted any more
};

}  // namespace weir::inline v0
