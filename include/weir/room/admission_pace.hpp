#pragma once
/// \file
/// How many may be asked in, and may come in, by the clock: so many per so long, evenly, in batches, or strictly.
///
/// Not thread-safe: its room holds the lock. An older `now` brings nothing back and takes nothing away.

#include <weir/core/time.hpp>
#include <weir/room/room_config.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace weir::inline v0 {

/// With `strict` 8 bytes for each permit, else nothing beyond itself.
class admission_pace {
 public:
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  /// `admit`: nothing means no limit. Errors: std::bad_alloc.
  admission_pace(const std::optional<rate>& admit, room_pace pace, time_point now)
      : pace_(pace), limited_(admit.has_value()), admit_(admit.value_or(rate{})), last_(now) {
    if (limited_ && pace_ == room_pace::strict) entries_.resize(admit_.permits);
    credit_ = pace_ == room_pace::batch ? static_cast<double>(admit_.permits) : 1;
  }

  [[nodiscard]] bool is_limited() const noexcept { return limited_; }

  /// What lies behind the room can take this part of it; in [0, 1]. From now on, not for what has been saved up.
  void set_gate(double part, time_point now) noexcept {
    see(now);
    gate_ = std::clamp(part, 0.0, 1.0);
  }

  /// How many offers may be made. `outstanding`: offers of which an entry is expected. O(1) amortised.
  [[nodiscard]] std::uint64_t offers(double outstanding, time_point now) noexcept {
    if (!limited_) return gate_ > 0 ? unlimited : 0;
    see(now);
    if (gate_ == 0) return 0;
    const double free = pace_ == room_pace::strict ? limit() - static_cast<double>(inside_) - outstanding : credit_;
    return free < 1 - slack ? 0 : static_cast<std::uint64_t>(free + slack);
  }
  /// So many have been made. Precondition: offers() allowed them, or an operator did.
  void offered(std::uint64_t n) noexcept {
    if (limited_ && pace_ != room_pace::strict) credit_ = std::max(credit_ - static_cast<double>(n), 0.0);
  }

  /// `strict`: how many more entries keep the limit. Whatever the gate says: who has been asked in may come.
  [[nodiscard]] std::uint64_t entries_left(time_point now) noexcept {
    if (!is_strict()) return unlimited;
    see(now);
    return entries_.size() - inside_;
  }
  /// Entries of the past, oldest first; those that count no more are ignored.
  void restore(std::span<const time_point> entries, time_point now) noexcept {
    if (!is_strict()) return;
    while (!entries.empty() && later(entries.front(), admit_.per) <= now) entries = entries.subspan(1);
    if (entries.size() > entries_.size()) entries = entries.last(entries_.size());
    for (const time_point at : entries) entered(at);
  }
  /// More than the limit, where an operator lets everybody in: the latest count.
  void entered(time_point now) noexcept {
    if (!is_strict()) return;
    if (inside_ == entries_.size()) {
      first_ = (first_ + 1) % entries_.size();
      --inside_;
    }
    if (inside_ != 0) now = std::max(now, entry(inside_ - 1));
    entries_[(first_ + inside_) % entries_.size()] = now;
    ++inside_;
  }
  /// When entries_left could become positive; `now`: it is.
  [[nodiscard]] time_point next_entry(time_point now) const noexcept {
    return !is_strict() || inside_ < entries_.size() ? now : later(entry(0), admit_.per);
  }
  /// When offers() could grow; `never`: not by time alone.
  [[nodiscard]] time_point next_offer() const noexcept {
    if (!limited_ || gate_ == 0) return never;
    if (pace_ == room_pace::strict) return inside_ == 0 ? never : later(entry(0), admit_.per);
    if (pace_ == room_pace::batch) return later(last_, admit_.per);
    if (credit_ >= 1 - slack) return last_;
    return later(last_, duration{static_cast<duration::rep>(std::ceil((1 - credit_) * interval() / gate_))});
  }

  /// Entries that count at the moment; `strict` only.
  [[nodiscard]] std::uint64_t entries() const noexcept { return inside_; }
  /// The gate included. 0: none, or not limited.
  [[nodiscard]] double per_second() const noexcept { return limited_ ? gate_ * 1e9 / interval() : 0; }

 private:
  static constexpr double slack = 1e-6;  // of a permit: what adding up fractions may lose

  [[nodiscard]] bool is_strict() const noexcept { return limited_ && pace_ == room_pace::strict; }
  [[nodiscard]] double interval() const noexcept {  // ns
    return static_cast<double>(admit_.per.count()) / static_cast<double>(admit_.permits);
  }
  [[nodiscard]] double limit() const noexcept {
    return std::max(1.0, std::floor(gate_ * static_cast<double>(admit_.permits)));
  }
  [[nodiscard]] time_point entry(std::size_t i) const noexcept { return entries_[(first_ + i) % entries_.size()]; }

  void see(time_point now) noexcept {
    if (now <= last_) return;
    if (pace_ == room_pace::strict) {
      while (inside_ != 0 && later(entry(0), admit_.per) <= now) {
        first_ = (first_ + 1) % entries_.size();
        --inside_;
      }
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
  double credit_ = 0;
  time_point last_;                  // batch: when the present one began
  std::vector<time_point> entries_;  // strict: a ring of those in the window
  std::size_t first_ = 0;
  std::size_t inside_ = 0;
};

}  // namespace weir::inline v0
