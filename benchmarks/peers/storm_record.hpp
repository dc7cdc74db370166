#pragma once
// Workload storm, what both kinds of it share: who arrives when, how long a connection is held, and what became of all.
//
// Arrivals come at a fixed rate whatever happens to those before them; the deadline of each counts from the instant at
// which it should have started. For a few seconds every connection is held for longer.

#include "measure.hpp"

namespace weir_peers {

inline constexpr std::uint32_t storm_pool_size = 8;

class storm_plan {
 public:
  explicit storm_plan(const settings& s)
      : settings_(s), count_(static_cast<std::size_t>(s.rate * (s.before + s.storm + s.after))) {}

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] const settings& given() const { return settings_; }
  /// All in seconds since the first arrival.
  [[nodiscard]] double intended(std::size_t arrival) const { return static_cast<double>(arrival) / settings_.rate; }
  [[nodiscard]] double storm_begins() const { return settings_.before; }
  [[nodiscard]] double storm_ends() const { return settings_.before + settings_.storm; }
  [[nodiscard]] double hold(double at) const {
    const bool slow = at >= storm_begins() && at < storm_ends();
    return settings_.hold_us * 1e-6 * (slow ? settings_.factor : 1);
  }
  /// Nobody is there any more after that, whatever the pool does.
  [[nodiscard]] double longest_stay() const { return settings_.deadline + settings_.hold_us * 1e-6 * settings_.factor; }

 private:
  settings settings_;
  std::size_t count_;
};

/// One arrival, in seconds since the first; negative: that has not happened.
struct storm_arrival {
  double sent = -1;      ///< by the generator
  double asked = -1;     ///< acquire was called
  double answered = -1;  ///< acquire returned
  double freed = -1;     ///< the connection that it got had been given back at
  double released = -1;
  bool granted = false;

  /// The earliest instant at which the pool can have decided to give it that connection: the pool had none before.
  [[nodiscard]] double decided() const { return freed >= asked ? freed : answered; }
};

/// Keeps the time of one run and who had which connection last.
class storm_run {
 public:
  explicit storm_run(const storm_plan& plan) : arrivals(plan.count()) {}

  /// Before the first arrival.
  void begin(time_point at) { begin_ = at; }
  [[nodiscard]] double now() const { return seconds_between(begin_, clock::now()); }
  [[nodiscard]] time_point at(double seconds) const { return begin_ + of_seconds(seconds); }

  /// To be called with what `acquire` gave, and before `release`.
  template <class Pool, possible_connection<Pool> Held>
  void answered(storm_arrival& a, const Held& held) const {
    a.answered = now();
    a.granted = static_cast<bool>(held);
    if (a.granted) a.freed = freed_[Pool::id_of(held)].load(std::memory_order_relaxed);
  }
  template <class Pool, possible_connection<Pool> Held>
  void releasing(storm_arrival& a, const Held& held) {
    a.released = now();
    freed_[Pool::id_of(held)].store(a.released, std::memory_order_relaxed);
  }

  std::vector<storm_arrival> arrivals;  ///< each written by one thread at a time

 private:
  time_point begin_{};
  std::atomic<double> freed_[storm_pool_size]{-1, -1, -1, -1, -1, -1, -1, -1};
};

/// What is printed; `left`: connections in the pool after the run.
metrics evaluate_storm(const storm_plan& plan, std::vector<storm_arrival>& arrivals, std::size_t left);

}  // namespace weir_peers
