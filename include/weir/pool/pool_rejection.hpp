#pragma once
/// \file
/// `pool_rejection`: why there is no connection, with the evidence.

#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/time.hpp>

#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace weir::inline v0 {

/// Why the last attempt to connect failed.
struct connect_failure {
  boost::system::error_code code;  ///< none: the backend threw something without a code
  std::string text;
  time_point at{};
};

/// What a pool looked like at one instant. Immutable, shared.
struct pool_evidence {
  weir::name name;
  std::uint32_t max = 0, in_use = 0, idle = 0, connecting = 0, validating = 0, resetting = 0, closing = 0, waiting = 0;
  duration oldest_wait{};
  bool suspended = false, down = false;
  duration next_probe_in{};                             ///< while down
  std::shared_ptr<const connect_failure> last_failure;  ///< none since the last success: nullptr

  /// Those who have held a connection for longest (of the first 64 places).
  struct holder {
    char tag[32];
    duration held;
  };
  std::array<holder, 3> holders{};
  std::uint32_t holder_count = 0;

  [[nodiscard]] std::uint32_t total() const noexcept {
    return in_use + idle + connecting + validating + resetting + closing;
  }
};

/// A `rejection` with evidence; converts to one. Copying it copies a shared pointer.
class pool_rejection {
 public:
  pool_rejection() noexcept = default;
  explicit pool_rejection(rejection why, duration waited = {}, std::shared_ptr<const pool_evidence> evidence = {}) noexcept
      : why_(why), waited_(waited), evidence_(std::move(evidence)) {}

  [[nodiscard]] const rejection& why() const noexcept { return why_; }
  operator const rejection&() const noexcept { return why_; }  // NOLINT: every function that takes one takes this one
  [[nodiscard]] boost::system::error_code code() const noexcept { return why_.code(); }
  [[nodiscard]] duration retry_after() const noexcept { return why_.retry_after(); }
  [[nodiscard]] duration predicted_wait() const noexcept { return why_.predicted_wait(); }
  /// For how long it had waited; zero: refused at the door.
  [[nodiscard]] duration waited() const noexcept { return waited_; }
  /// nullptr: there was no memory for it, or the pool did not make this rejection.
  [[nodiscard]] const pool_evidence* evidence() const noexcept { return evidence_.get(); }

  /// "pool 'orders': no connection within 5s (total=10/10, in_use=10, idle=0, connecting=0, waiting=27,
  /// oldest_wait=4.98s, last_connect_error=none)". Allocates.
  [[nodiscard]] std::string message() const;

 private:
  rejection why_;
  duration waited_{};
  std::shared_ptr<const pool_evidence> evidence_;
};

[[nodiscard]] inline bool operator==(const pool_rejection& r, errc e) noexcept { return r.why() == e; }
[[nodiscard]] inline bool operator==(const pool_rejection& r, condition c) noexcept { return r.why() == c; }

/// Whether who was refused for this may get a connection after waiting.
[[nodiscard]] inline bool waiting_helps(const pool_rejection& r) noexcept {
  return r == errc::over_capacity || r == errc::suspended;
}

/// What `.value()` throws.
class pool_error : public rejected_error {
 public:
  explicit pool_error(pool_rejection why)
      : rejected_error(why.why()), evidence_(std::move(why)), text_(evidence_.message()) {}
  [[nodiscard]] const pool_rejection& details() const noexcept { return evidence_; }
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  pool_rejection evidence_;
  std::string text_;
};
[[noreturn]] inline void throw_exception_from_error(const pool_rejection& why, const boost::source_location&) {
  throw pool_error(why);
}

template <class T>
using pool_result = boost::system::result<T, pool_rejection>;

namespace detail {

/// "5s", "4.98s", "250ms", "40us": three digits.
[[nodiscard]] inline std::string short_duration(duration d) {
  if (d == duration::max()) return "ever";
  if (d <= duration::zero()) return "0s";
  double value = static_cast<double>(d.count());
  const char* unit = "ns";
  for (const char* next : {"us", "ms", "s"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::string text = std::to_string(value);
  double scale = 1;
  for (int i = 0; i < decimals; ++i) scale *= 10;
  value = std::round(value * scale) / scale;
  text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text + unit;
}

[[nodiscard]] inline std::string what_happened(const rejection& why, duration waited) {
  if (why == errc::wait_timeout) return "no connection within " + short_duration(waited);
  if (why == errc::would_miss_deadline) {
    return "no connection expected in time (predicted wait " + short_duration(why.predicted_wait()) + ")";
  }
  if (why == errc::self_deadlock) return "this thread holds every connection itself";
  if (why == errc::over_capacity) return "no connection is free";
  if (why == errc::queue_full) return "too many wait for a connection";
  if (why == errc::shed) return "given up after " + short_duration(waited) + " to keep the others in time";
  return why.code().message();
}

}  // namespace detail

inline std::string pool_rejection::message() const {
  std::string text = "pool '" + std::string{why_.policy()} + "': " + detail::what_happened(why_, waited_);
  if (evidence_ == nullptr) return text;
  const pool_evidence& e = *evidence_;
  const auto number = [&](const char* label, std::uint32_t n) {
    text += std::string{", "} + label + "=" + std::to_string(n);
  };
  text += " (total=" + std::to_string(e.total()) + "/" + std::to_string(e.max);
  number("in_use", e.in_use);
  number("idle", e.idle);
  number("connecting", e.connecting);
  if (e.validating != 0) number("validating", e.validating);
  if (e.resetting != 0) number("resetting", e.resetting);
  if (e.closing != 0) number("closing", e.closing);
  number("waiting", e.waiting);
  text += ", oldest_wait=" + detail::short_duration(e.oldest_wait);
  if (e.suspended) text += ", suspended";
  if (e.down) text += ", backend down, next attempt in " + detail::short_duration(e.next_probe_in);
  text += ", last_connect_error=" + (e.last_failure == nullptr ? "none" : e.last_failure->text);
  for (std::uint32_t i = 0; i < e.holder_count; ++i) {
    text += i == 0 ? ", longest held: " : ", ";
    text += (e.holders[i].tag[0] == '\0' ? "untagged" : std::string{e.holders[i].tag}) + " " +
            detail::short_duration(e.holders[i].held);
  }
  return text + ")";
}

}  // namespace weir::inline v0
