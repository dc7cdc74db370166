#pragma once
/// \file
/// How many may be asked in, and may come in, by the clock: so many per so long, evenly, in batches, or strictly.
///
/// `strict` bounds entries, which a claim asks for, in every window. Offers keep the same bound in windows of their own,
/// some time ahead: people take their time until they claim, and a place that was kept for each of them would be empty for
/// so long. If claims bunch up all the same, some are held for a moment, and count until they have come in.
///
/// Not thread-safe: its room holds the lock. An older `now` brings nothing back and takes nothing away.

#include <weir/core/time.hpp>
#include <weir/policy/detail/issue_log.hpp>
#include <weir/room/room_config.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>

namespace weir::inline v0 {

/// With `strict` 16 bytes for each permit, else nothing beyond itself.
class admission_pace {
 public:
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  /// `admit`: nothing means no limit. Errors: std::bad_alloc.
  admission_pace(const std::optional<rate>& admit, room_pace pace, time_point now)
      : pace_(pace),
        limited_(admit.has_value()),
        admit_(admit.value_or(rate{})),
        last_(bounded(now)),
        entries_(is_strict() ? admit_ : rate{1, admit_.per}),
        offers_(entries_) {
    credit_ = pace_ == room_pace::batch ? static_cast<double>(admit_.permits) : 1;
  }

  [[nodiscard]] bool is_limited() const noexcept { return limited_; }

  /// What lies behind the room can take this part of it; in [0, 1]. From now on, not for what has been saved up.
  void set_gate(double part, time_point now) noexcept {
    see(now);
    gate_ = std::clamp(part, 0.0, 1.0);
  }

  /// Another limit from now on; changing it gains nobody anything: what has been spent stays spent.
  /// - `strict`, and was: entries count as far as they are known, the others are taken to be as new as they can have been.
  ///   So whoever enters from now on finds the new limit kept in any (t, t + per] around it, those that began before
  ///   included.
  /// - `strict`, and was not: entries count from now on.
  /// - `batch`, and was: the present one goes on, larger or smaller by what the limit has grown or shrunk. Was not: the
  ///   first one comes after `per`.
  /// - `smooth`: at once, if one could have come in at once before; else after an interval.
  ///
  /// Errors: std::bad_alloc, and nothing has changed. Complexity: O(permits) with `strict`, else O(1).
  void reconfigure(const std::optional<rate>& admit, room_pace pace, time_point now) {
    see(now);
    if (pace == pace_ && admit.has_value() == limited_ && (!admit || *admit == admit_)) return;
    admission_pace next{admit, pace, std::max(last_, bounded(now))};
    next.gate_ = gate_;
    if (limited_) {
      const double left = pace_ == room_pace::strict ? static_cast<double>(entries_.size() - entries()) : credit_;
      next.credit_ = pace == room_pace::batch ? 0 : std::min(left, 1.0);
      if (is_strict() && next.is_strict()) {
        next.entries_.inherit(entries_, last_);
        next.offers_.inherit(offers_, last_);
        next.expected_ = expected_;
      }
      if (pace_ == room_pace::batch && pace == room_pace::batch) {
        next.credit_ = next.limit() - std::max(limit() - credit_, 0.0);
        next.last_ = last_;
      }
    }
    *this = std::move(next);
  }

  /// How many offers may be made of which an entry is expected. `held`: claims that have been put off. O(1) amortised,
  /// O(log permits) with `strict`.
  [[nodiscard]] std::uint64_t offers(std::uint64_t held, time_point now) noexcept {
    if (!limited_) return gate_ > 0 ? unlimited : 0;
    see(now);
    if (gate_ == 0) return 0;
    const double free = is_strict() ? limit() - static_cast<double>(offers_.used(last_) + held) : credit_;
    return free < 1 - slack ? 0 : static_cast<std::uint64_t>(free + slack);
  }
  /// One has been made. Precondition: offers() allowed it, or an operator did. `expected`: the part of an entry that may be
  /// expected of it, in [0, 1]; counts with `strict`.
  void offered(double expected) noexcept {
    if (!limited_) return;
    if (!is_strict()) {
      credit_ = std::max(credit_ - 1, std::min(credit_, 0.0));
      return;
    }
    expected_ += expected;
    if (expected_ < 1 - slack) return;
    expected_ = std::max(expected_ - 1, 0.0);
    (void)offers_.issue(1, last_);
  }

  /// `strict`: how many more entries keep the limit. Whatever the gate says: who has been asked in may come.
  [[nodiscard]] std::uint64_t entries_left(time_point now) noexcept {
    if (!is_strict()) return unlimited;
    see(now);
    return entries_.size() - entries();
  }
  /// Entries of the past, oldest first: all of the last `per`. Of those before nobody knows; they matter if the limit is
  /// changed, and are taken to be as new as they can have been. `outstanding`: offers that may be claimed at once.
  /// Precondition: none is known yet. O(permits).
  void restore(std::span<const time_point> entries, std::uint64_t outstanding, time_point now) noexcept {
    if (!is_strict()) return;
    if (entries.size() > entries_.size()) entries = entries.last(entries_.size());
    time_point latest = bounded(later(now, -admit_.per));
    if (!entries.empty()) latest = std::min(latest, bounded(entries.front()));
    (void)entries_.issue(entries_.size() - entries.size(), latest);
    for (const time_point at : entries) {
      latest = std::max(latest, std::min(bounded(at), bounded(now)));
      (void)entries_.issue(1, latest);
      (void)offers_.issue(1, latest);
    }
    see(now);
    (void)offers_.issue(std::min(outstanding, offers_.size()), last_);
  }
  /// More than the limit, where an operator lets everybody in: the latest count.
  void entered(time_point now) noexcept {
    if (!is_strict()) return;
    see(now);
    (void)entries_.issue(1, last_);
  }
  /// When so many could have entered, each as soon as it may; `now`: at once. Precondition: n > 0.
  [[nodiscard]] time_point next_entry(std::uint64_t n, time_point now) const noexcept {
    if (!is_strict()) return now;
    const auto windows = static_cast<duration::rep>(std::min((n - 1) / entries_.size(), std::uint64_t{1} << 20));
    const time_point first = std::max(now, entries_.available((n - 1) % entries_.size() + 1));
    return windows > duration::max() / admit_.per ? never : later(first, windows * admit_.per);
  }
  /// When offers() could grow; `never`: not by time alone.
  [[nodiscard]] time_point next_offer() const noexcept {
    if (!limited_ || gate_ == 0) return never;
    if (is_strict()) {
      const std::uint64_t made = offers_.used(last_);
      return made == 0 ? never : offers_.available(offers_.size() - made + 1);
    }
    if (pace_ == room_pace::batch) return later(last_, admit_.per);
    if (credit_ >= 1 - slack) return last_;
    return later(last_, duration{static_cast<duration::rep>(std::ceil((1 - credit_) * interval() / gate_))});
  }

  /// Entries that count at the moment; `strict` only.
  [[nodiscard]] std::uint64_t entries() const noexcept { return is_strict() ? entries_.used(last_) : 0; }
  /// The gate included. 0: none, or not limited.
  [[nodiscard]] double per_second() const noexcept { return limited_ ? gate_ * 1e9 / interval() : 0; }

 private:
  using issue_log = detail::issue_log;
  static constexpr double slack = 1e-6;  // of a permit: what adding up fractions may lose

  static constexpr time_point bounded(time_point t) noexcept {
    return std::clamp(t, issue_log::first_instant, issue_log::last_instant);
  }
  [[nodiscard]] bool is_strict() const noexcept { return limited_ && pace_ == room_pace::strict; }
  [[nodiscard]] double interval() const noexcept {  // ns
    return static_cast<double>(admit_.per.count()) / static_cast<double>(admit_.permits);
  }
  [[nodiscard]] double limit() const noexcept {
    return std::max(1.0, std::floor(gate_ * static_cast<double>(admit_.permits)));
  }

  void see(time_point now) noexcept {
    now = bounded(now);
    if (now <= last_) return;
    if (pace_ == room_pace::strict) {
      last_ = now;
    } else if (pace_ == room_pace::batch) {
      const auto periods = elapsed(last_, now) / admit_.per;
      if (periods == 0) return;
      last_ = later(last_, admit_.per * periods);
      credit_ = gate_ == 0 ? 0 : limit();
    } else {
      const double gained = static_cast<double>(elapsed(last_, now).count()) * gate_ / interval();
      // What nobody used is lost, but for what a late timer must make good.
      const double most = std::max(1.05, 0.25e9 / interval());
      credit_ = std::max(credit_, std::min(credit_ + gained, most));
      last_ = now;
    }
  }

  room_pace pace_;
  bool limited_;
  rate admit_;
  double gate_ = 1;
  double credit_ = 0;    // negative: a smaller limit came after more had been spent
  time_point last_;      // batch: when the present one began
  issue_log entries_;    // strict
  issue_log offers_;     // strict; by entries that are expected
  double expected_ = 0;  // beyond those, less than one
};

}  // namespace weir::inline v0
