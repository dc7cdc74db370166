#pragma once
/// \file
/// When connections that get old are replaced: spread, one after the other, and the new one first. Sans-I/O.

#include <weir/core/random.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>

namespace weir::inline v0::detail {

/// The end of a connection is planned uniformly between 80 and 90 % of its longest life, and two ends are at least a tenth
/// of that life divided by the size of the pool apart, so that all of them find room before they have to. The last tenth is
/// for that: in it also those who wait do not put an end off. Whoever comes back after its life, from a user who kept it
/// for so long, is not used again, however close that is to another end. Why so: docs/adr/0014.
class renewal {
 public:
  enum class verdict : std::uint8_t {
    retire,   ///< close it now
    replace,  ///< keep it until another one has been opened for it
    later,    ///< keep it, and ask again at `ask_again`
  };

  renewal(duration lifetime, std::uint32_t max_size, std::uint64_t seed) noexcept : random_(seed, "lifetime") {
    reconfigure(lifetime, max_size);
  }
  void reconfigure(duration lifetime, std::uint32_t max_size) noexcept {
    lifetime_ = lifetime;
    spacing_ = lifetime == duration::max() ? duration::zero() : lifetime / (10 * std::int64_t{max_size});
  }

  [[nodiscard]] time_point dies_at(time_point born) const noexcept {
    return lifetime_ == duration::max() ? never : later(born, lifetime_);
  }
  [[nodiscard]] time_point plan(time_point born) noexcept {
    if (lifetime_ == duration::max()) return never;
    return later(born, random_.between(lifetime_ / 10 * 8, lifetime_ / 10 * 9));
  }

  /// About a connection whose planned end has come, and which nobody uses. `room`: one more could be opened; `wanted`:
  /// somebody waits for a connection.
  [[nodiscard]] verdict judge(time_point dies_at, bool room, bool wanted, time_point now) const noexcept {
    // Servers and firewalls cut there.
    if (dies_at <= now) return verdict::retire;
    if (now < next_) return verdict::later;
    if (spares_ > 0) return verdict::retire;
    if (room) return verdict::replace;
    return wanted && now < last_tenth(dies_at) ? verdict::later : verdict::retire;
  }
  /// When to ask again about a connection of which that said `later`.
  [[nodiscard]] time_point ask_again(time_point dies_at, time_point now) const noexcept {
    if (now < next_) return std::min(next_, dies_at);
    return std::min(later(now, spacing_ / 2), std::max(last_tenth(dies_at), later(now, duration{1})));
  }

  void want() noexcept { wanted_ = true; }
  /// One has been closed for its age. `needed`: the pool is to have another in its place.
  void retired(bool needed, time_point now) noexcept {
    next_ = later(now, spacing_);
    if (spares_ > 0) {
      --spares_;
    } else if (needed) {
      ++owed_;
    }
  }
  /// A connection was opened: it may be the one that was wanted here.
  void opened() noexcept {
    if (owed_ > 0) {
      --owed_;
    } else if (wanted_) {
      wanted_ = false;
      ++spares_;
    }
  }
  void forget() noexcept {
    wanted_ = false;
    owed_ = spares_ = 0;
  }
  /// How many connections are to be opened for those that get old.
  [[nodiscard]] std::uint32_t demand() const noexcept { return owed_ + (wanted_ ? 1 : 0); }
  [[nodiscard]] bool has_spare() const noexcept { return spares_ > 0; }

 private:
  [[nodiscard]] time_point last_tenth(time_point dies_at) const noexcept { return later(dies_at, -(lifetime_ / 10)); }

  duration lifetime_{}, spacing_{};
  time_point next_ = time_point::min();  // no retirement before
  bool wanted_ = false;                  // one to be opened before one is closed
  std::uint32_t spares_ = 0;             // opened so
  std::uint32_t owed_ = 0;               // closed before one could be opened
  random_stream random_;
};

}  // namespace weir::inline v0::detail
