#pragma once
// The same jobs the obvious way: a plain single-threaded core inside one std::mutex, with the same configurations, answers
// and counts as ours. What lock-free code has to beat where threads meet.

#include <weir/core/admission.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/name.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/detail/issue_log.hpp>
#include <weir/policy/detail/refill_line.hpp>
#include <weir/policy/rate_limiter_config.hpp>
#include <weir/policy/window_limiter_config.hpp>
#include <weir/stats/count_window.hpp>
#include <weir/stats/time_window.hpp>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace weir_bench {

/// Closed, or open for ever: no probes. The clock is read outside of the lock, where it is needed at all.
class mutex_breaker {
 public:
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), generation_(other.generation_), admitted_(other.admitted_) {}
    permit& operator=(permit&&) = delete;
    ~permit() { release(weir::outcome::ignored); }
    void release(weir::outcome o) noexcept {
      if (auto* owner = std::exchange(owner_, nullptr)) owner->record(generation_, admitted_, o);
    }

   private:
    friend class mutex_breaker;
    permit(mutex_breaker& owner, std::uint64_t generation, weir::time_point admitted) noexcept
        : owner_(&owner), generation_(generation), admitted_(admitted) {}

    mutex_breaker* owner_;
    std::uint64_t generation_;
    weir::time_point admitted_;
  };

  explicit mutex_breaker(const weir::circuit_breaker_config& c)
      : name_(c.name),
        slow_after_(c.slow_threshold),
        over_calls_(c.over_calls.size),
        over_time_(c.over_time.slicing, clock_.now()),
        by_time_(c.over_time.slicing.length > weir::duration::zero()),
        trip_(by_time_ ? c.over_time.trip : c.over_calls.trip) {
    if (c.initial_state == weir::breaker_state::open) open_until_ = weir::later(clock_.now(), c.open_for.initial);
  }

  weir::result<permit> try_acquire() noexcept {
    const weir::time_point now = measures() ? clock_.now() : weir::read_clock;
    weir::time_point until;
    {
      const std::lock_guard lock{mutex_};
      if (!open_until_) [[likely]] {
        ++admitted_;
        return permit{*this, generation_, now};
      }
      ++rejected_;
      until = *open_until_;
    }
    return weir::rejection{weir::errc::circuit_open, name_, weir::elapsed(clock_.now(), until)};
  }

 private:
  [[nodiscard]] bool measures() const noexcept { return slow_after_ > weir::duration::zero(); }

  void record(std::uint64_t generation, weir::time_point admitted, weir::outcome o) noexcept {
    const weir::time_point now = measures() || by_time_ ? clock_.now() : weir::read_clock;
    const weir::window_sample sample{.failure = o == weir::outcome::failure,
                                     .slow = measures() && weir::elapsed(admitted, now) > slow_after_};
    const std::lock_guard lock{mutex_};
    ++ended_[static_cast<std::size_t>(o)];
    if (o == weir::outcome::ignored || generation != generation_) return;
    if (by_time_) {
      over_time_.record(sample, now);
      judge(over_time_.counts());
    } else {
      over_calls_.record(sample);
      judge(over_calls_.counts());
    }
  }

  void judge(const weir::window_counts& n) noexcept {
    if (n.calls < trip_.minimum_calls || (n.failures == 0 && n.slow == 0)) return;
    const auto calls = static_cast<double>(n.calls);
    if (static_cast<double>(n.failures) / calls < trip_.failure_rate &&
        static_cast<double>(n.slow) / calls < trip_.slow_rate) {
      return;
    }
    ++generation_;
    open_until_ = weir::never;
  }

  weir::default_clock clock_;
  weir::name name_;
  weir::duration slow_after_;
  alignas(weir::detail::cache_line) std::mutex mutex_;
  std::uint64_t generation_ = 0;
  std::optional<weir::time_point> open_until_;
  std::uint64_t admitted_ = 0, rejected_ = 0, ended_[4]{};
  weir::count_window over_calls_;
  weir::time_window over_time_;
  bool by_time_;
  weir::trip_thresholds trip_;
};

/// The token bucket of weir's rate limiter, on a plain level.
class mutex_rate_limiter {
 public:
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)), cost_(other.cost_) {}
    permit& operator=(permit&&) = delete;
    ~permit() = default;
    void release(weir::outcome) noexcept { limiter_ = nullptr; }

   private:
    friend class mutex_rate_limiter;
    permit(mutex_rate_limiter* limiter, std::uint32_t cost) noexcept : limiter_(limiter), cost_(cost) {}

    mutex_rate_limiter* limiter_;
    std::uint32_t cost_;
  };

  explicit mutex_rate_limiter(const weir::rate_limiter_config& c)
      : name_(c.name), line_(weir::detail::refill_line::of(c.limit, c.burst)) {
    line_.origin = clock_.now().time_since_epoch().count();
  }

  weir::result<permit> try_acquire(std::uint32_t cost = 1) noexcept {
    const weir::time_point now = clock_.now();
    const std::lock_guard lock{mutex_};
    const std::uint64_t done = line_.refilled(line_.since_origin(now));
    const std::uint64_t after = std::max(level_, done) + (std::uint64_t{cost} << line_.fraction);
    const std::uint64_t due = after > line_.burst ? after - line_.burst : 0;
    if (due > done) {
      ++rejected_;
      return weir::rejection{weir::errc::rate_limited, name_, weir::elapsed(now, line_.when(due))};
    }
    level_ = after;
    ++admitted_;
    return permit{this, cost};
  }

 private:
  weir::default_clock clock_;
  weir::name name_;
  alignas(weir::detail::cache_line) std::mutex mutex_;
  weir::detail::refill_line line_;
  std::uint64_t level_ = 0;
  std::uint64_t admitted_ = 0, rejected_ = 0;
};

/// A plain counter of slots.
class mutex_concurrency_limiter {
 public:
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)), cost_(other.cost_) {}
    permit& operator=(permit&&) = delete;
    ~permit() { release(weir::outcome::ignored); }
    void release(weir::outcome o) noexcept {
      if (auto* limiter = std::exchange(limiter_, nullptr)) limiter->give_back(cost_, o);
    }

   private:
    friend class mutex_concurrency_limiter;
    permit(mutex_concurrency_limiter* limiter, std::uint32_t cost) noexcept : limiter_(limiter), cost_(cost) {}

    mutex_concurrency_limiter* limiter_;
    std::uint32_t cost_;
  };

  explicit mutex_concurrency_limiter(const weir::concurrency_limiter_config& c) : name_(c.name), limit_(c.limit) {}

  weir::result<permit> try_acquire(std::uint32_t cost = 1) noexcept {
    const std::lock_guard lock{mutex_};
    if (cost > limit_ - used_) {
      ++rejected_;
      return weir::rejection{weir::errc::over_capacity, name_};
    }
    used_ += cost;
    ++admitted_;
    return permit{this, cost};
  }

 private:
  void give_back(std::uint32_t cost, weir::outcome o) noexcept {
    const std::lock_guard lock{mutex_};
    ++ended_[static_cast<std::size_t>(o)];
    used_ -= cost;
  }

  weir::name name_;
  alignas(weir::detail::cache_line) std::mutex mutex_;
  std::uint32_t limit_, used_ = 0;
  std::uint64_t admitted_ = 0, rejected_ = 0, ended_[4]{};
};

/// The log of weir's window limiter, for a refusal too under the lock.
class mutex_window_limiter {
 public:
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)), token_(other.token_) {}
    permit& operator=(permit&&) = delete;
    ~permit() = default;
    void release(weir::outcome) noexcept { limiter_ = nullptr; }

   private:
    friend class mutex_window_limiter;
    permit(mutex_window_limiter* limiter, std::uint64_t token) noexcept : limiter_(limiter), token_(token) {}

    mutex_window_limiter* limiter_;
    std::uint64_t token_;
  };

  explicit mutex_window_limiter(const weir::window_limiter_config& c) : name_(c.name), log_(c.limit) {}

  weir::result<permit> try_acquire(std::uint32_t cost = 1) noexcept {
    const weir::time_point now = clock_.now();
    const std::lock_guard lock{mutex_};
    const weir::time_point at = std::max(now, newest_), due = log_.available(cost);
    if (due > at) {
      ++rejected_;
      return weir::rejection{weir::errc::rate_limited, name_, weir::elapsed(now, due)};
    }
    newest_ = at;
    ++admitted_;
    return permit{this, log_.issue(cost, at)};
  }

 private:
  weir::default_clock clock_;
  weir::name name_;
  alignas(weir::detail::cache_line) std::mutex mutex_;
  weir::time_point newest_ = weir::time_point::min();
  weir::detail::issue_log log_;
  std::uint64_t admitted_ = 0, rejected_ = 0;
};

}  // namespace weir_bench
