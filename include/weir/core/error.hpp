#pragma once
/// \file
/// Errors: one closed table of codes, what they mean (`condition`), and `rejection`, the value that says who refused a
/// call, why, and when to come back.
///
/// Rejections are values: `result<T>` is `boost::system::result<T, rejection>`. Callers branch on conditions, so that a new
/// policy breaks nobody:
///
/// ```cpp
/// auto permit = limiter.try_acquire();
/// if (!permit) {
///   if (permit.error().code() == weir::condition::never) return bad_request();
///   return too_busy(permit.error().retry_after());
/// }
/// ```
/// `.value()` throws `rejected_error`. The table, with HTTP status and metric labels, stands in docs/errors.md.

#include <weir/core/name.hpp>
#include <weir/core/time.hpp>

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>
#include <boost/system/result.hpp>
#include <boost/system/system_error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace weir::inline v0 {

/// Why a call did not get what it asked for. Closed: a new code is a new minor version. Values are stable.
enum class errc : std::uint8_t {
  circuit_open = 1,     ///< the breaker refuses calls for now
  rate_limited,         ///< no tokens now; retry_after says when there are
  never_admissible,     ///< asks for more than could ever be granted at once
  over_capacity,        ///< all slots are taken, or others are waiting for them
  queue_full,           ///< the waiting queue is at its bound
  expired,              ///< the deadline had passed before the call asked
  wait_timeout,         ///< waited until the deadline without a grant
  would_miss_deadline,  ///< refused at the door: the predicted wait exceeds the deadline
  shed,                 ///< taken out of the queue to keep the others in time
  quota,                ///< the tenant's or key's own share is used up
  backend_down,         ///< what the pool connects to does not answer
  suspended,            ///< an operator has paused it
  closed,               ///< shut down; nothing more will be granted
  cancelled,            ///< the caller gave up
  budget_exhausted,     ///< the retry and hedge budget is used up
  room_full,            ///< the waiting room takes no more users
  self_deadlock,        ///< the caller holds everything that it waits for
};

/// What a caller does about it.
enum class condition : std::uint8_t {
  rejected = 1,  ///< not now: come back after retry_after
  timed_out,     ///< the deadline ended it
  closed,        ///< do not come back to this object
  never,         ///< the same request will always be refused
  cancelled,     ///< the caller's own doing
};

/// One row of the closed table.
struct errc_info {
  errc code;
  condition meaning;
  unsigned http_status;     ///< what an HTTP service answers
  const char* label;        ///< metric label, stable
  const char* description;  ///< one English phrase
};

// Rows in the order of errc; the functions below index by it, and a test compares the table with docs/errors.md.
inline constexpr errc_info errc_table[] = {
    {errc::circuit_open, condition::rejected, 503, "circuit_open", "the circuit breaker is open"},
    {errc::rate_limited, condition::rejected, 429, "rate_limited", "the rate limit is reached"},
    {errc::never_admissible, condition::never, 413, "never_admissible",
     "the request is larger than the limit can ever grant"},
    {errc::over_capacity, condition::rejected, 503, "over_capacity", "all slots are taken"},
    {errc::queue_full, condition::rejected, 503, "queue_full", "the waiting queue is full"},
    {errc::expired, condition::timed_out, 504, "expired", "the deadline had passed before the call asked"},
    {errc::wait_timeout, condition::timed_out, 503, "wait_timeout", "no slot became free before the deadline"},
    {errc::would_miss_deadline, condition::rejected, 503, "would_miss_deadline", "the predicted wait exceeds the deadline"},
    {errc::shed, condition::rejected, 503, "shed", "shed from the queue under overload"},
    {errc::quota, condition::rejected, 429, "quota", "the quota of this tenant or key is used up"},
    {errc::backend_down, condition::rejected, 503, "backend_down", "the backend does not answer"},
    {errc::suspended, condition::rejected, 503, "suspended", "suspended by an operator"},
    {errc::closed, condition::closed, 503, "closed", "closed"},
    {errc::cancelled, condition::cancelled, 499, "cancelled", "cancelled by the caller"},
    {errc::budget_exhausted, condition::rejected, 503, "budget_exhausted", "the retry budget is used up"},
    {errc::room_full, condition::rejected, 503, "room_full", "the waiting room is full"},
    {errc::self_deadlock, condition::never, 500, "self_deadlock", "the caller holds everything that it waits for"},
};

/// The table's row of a code. Precondition: `code` is an enumerator.
[[nodiscard]] constexpr const errc_info& info(errc code) noexcept { return errc_table[static_cast<unsigned>(code) - 1]; }

namespace detail {

class condition_category final : public boost::system::error_category {
 public:
  constexpr condition_category() noexcept : error_category(0x7765'6972'636f'6e64) {}  // "weircond"
  const char* name() const noexcept override { return "weir.condition"; }
  std::string message(int value) const override {
    switch (static_cast<condition>(value)) {
      case condition::rejected: return "rejected for now";
      case condition::timed_out: return "timed out";
      case condition::closed: return "closed";
      case condition::never: return "never admissible";
      case condition::cancelled: return "cancelled";
    }
    return "unknown weir condition " + std::to_string(value);
  }
};
inline constexpr condition_category condition_category_instance;

class errc_category final : public boost::system::error_category {
 public:
  // A fixed id: codes made in two shared objects that both contain this header compare equal.
  constexpr errc_category() noexcept : error_category(0x7765'6972'6572'7263) {}  // "weirerrc"
  const char* name() const noexcept override { return "weir"; }
  std::string message(int value) const override {
    return known(value) ? info(static_cast<errc>(value)).description : "unknown weir error " + std::to_string(value);
  }
  boost::system::error_condition default_error_condition(int value) const noexcept override {
    if (!known(value)) return {value, *this};
    return {static_cast<int>(info(static_cast<errc>(value)).meaning), condition_category_instance};
  }

 private:
  static constexpr bool known(int value) noexcept { return value >= 1 && value <= static_cast<int>(std::size(errc_table)); }
};
inline constexpr errc_category errc_category_instance;

}  // namespace detail

/// The category of `errc` codes: `ec.category() == weir::category()`.
[[nodiscard]] constexpr const boost::system::error_category& category() noexcept { return detail::errc_category_instance; }

[[nodiscard]] inline boost::system::error_code make_error_code(errc e) noexcept {
  return {static_cast<int>(e), detail::errc_category_instance};
}
[[nodiscard]] inline boost::system::error_condition make_error_condition(condition c) noexcept {
  return {static_cast<int>(c), detail::condition_category_instance};
}

/// Who refused, why, and when to come back. A value: trivially copyable, no allocation, valid for ever.
class rejection {
 public:
  /// No rejection: `code()` is empty. What `result::error()` gives when there is a value.
  rejection() noexcept = default;
  rejection(errc why, name policy, duration retry_after = {}, duration predicted_wait = {}) noexcept
      : code_(make_error_code(why)), policy_(policy), retry_after_(retry_after), predicted_wait_(predicted_wait) {}
  /// For codes that are not ours: a cancelled Asio operation, a backend's failure.
  explicit rejection(boost::system::error_code code, name policy = {}) noexcept : code_(code), policy_(policy) {}

  [[nodiscard]] boost::system::error_code code() const noexcept { return code_; }
  /// The `name` that the refusing policy was configured with; empty if none.
  [[nodiscard]] std::string_view policy() const noexcept { return policy_.view(); }
  /// Time until it is worth asking again; zero: unknown. Never negative.
  [[nodiscard]] duration retry_after() const noexcept { return retry_after_; }
  /// With would_miss_deadline: the wait that was predicted; else zero.
  [[nodiscard]] duration predicted_wait() const noexcept { return predicted_wait_; }
  /// "'search': the rate limit is reached (retry after 20 ms)". Allocates: for logs and people.
  [[nodiscard]] std::string message() const;

 private:
  boost::system::error_code code_;
  name policy_;
  duration retry_after_{};
  duration predicted_wait_{};
};
static_assert(std::is_trivially_copyable_v<rejection> && sizeof(rejection) <= 48);

/// Whether `r` is ours with this code.
[[nodiscard]] inline bool operator==(const rejection& r, errc e) noexcept { return r.code() == make_error_code(e); }
[[nodiscard]] inline bool operator==(const rejection& r, condition c) noexcept {
  return r.code() == make_error_condition(c);
}

template <class T>
using result = boost::system::result<T, rejection>;

/// What `.value()` throws on a rejection.
class rejected_error : public boost::system::system_error {
 public:
  explicit rejected_error(const rejection& why) : system_error(why.code(), why.message()), why_(why) {}
  [[nodiscard]] const rejection& why() const noexcept { return why_; }
  [[nodiscard]] duration retry_after() const noexcept { return why_.retry_after(); }

 private:
  rejection why_;
};

/// Found by boost::system::result::value().
[[noreturn]] inline void throw_exception_from_error(const rejection& why, const boost::source_location&) {
  throw rejected_error(why);
}

namespace detail {
inline std::string milliseconds_text(duration d) {
  return std::to_string(std::chrono::ceil<std::chrono::milliseconds>(d).count()) + " ms";
}
}  // namespace detail

inline std::string rejection::message() const {
  std::string text = policy().empty() ? std::string{} : "'" + std::string{policy()} + "': ";
  text += code_.message();
  if (predicted_wait_ > duration::zero()) text += " (predicted wait " + detail::milliseconds_text(predicted_wait_) + ")";
  if (retry_after_ > duration::zero()) text += " (retry after " + detail::milliseconds_text(retry_after_) + ")";
  return text;
}

}  // namespace weir::inline v0

namespace boost::system {
template <>
struct is_error_code_enum<weir::errc> : std::true_type {};
template <>
struct is_error_condition_enum<weir::condition> : std::true_type {};
}  // namespace boost::system
