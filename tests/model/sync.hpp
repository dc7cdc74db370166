#pragma once
/// \file
/// What weir's headers get instead of std::atomic, std::mutex and thread_local when they are compiled for the model: the
/// same interface, each operation a step of model/scheduler.hpp. WEIR_SYNC_HEADER names this file.
///
/// Outside of a run (while a test sets up or checks the end) the operations are plain ones.

#include "scheduler.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <utility>

namespace weir::inline v0::detail {

/// Sequentially consistent whatever the order asked for; weak compare-and-swaps fail only where strong ones do. As large as
/// T, and known to the scheduler by its address.
template <class T>
class atomic {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  using order = std::memory_order;

 public:
  constexpr atomic() noexcept : value_() {}
  constexpr atomic(T value) noexcept : value_(value) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  [[nodiscard]] T load(order = order::seq_cst) const noexcept {
    step(model::op::load);
    return told(value_, value_);
  }
  void store(T value, order = order::seq_cst) noexcept {
    step(model::op::store);
    told(std::exchange(value_, value), value);
  }
  T exchange(T value, order = order::seq_cst) noexcept {
    return modify([value](T) { return value; });
  }
  bool compare_exchange_strong(T& expected, T wanted, order = order::seq_cst, order = order::seq_cst) noexcept {
    step(model::op::compare_exchange, bits(expected));
    if (bits(value_) != bits(expected)) {
      expected = told(value_, value_);
      return false;
    }
    told(std::exchange(value_, wanted), wanted);
    return true;
  }
  bool compare_exchange_weak(T& expected, T wanted, order = order::seq_cst, order = order::seq_cst) noexcept {
    return compare_exchange_strong(expected, wanted);
  }
  T fetch_add(T by, order = order::seq_cst) noexcept {
    return modify([by](T v) { return static_cast<T>(v + by); });
  }
  T fetch_sub(T by, order = order::seq_cst) noexcept {
    return modify([by](T v) { return static_cast<T>(v - by); });
  }
  T fetch_or(T by, order = order::seq_cst) noexcept {
    return modify([by](T v) { return static_cast<T>(v | by); });
  }
  T fetch_and(T by, order = order::seq_cst) noexcept {
    return modify([by](T v) { return static_cast<T>(v & by); });
  }

 private:
  static std::uint64_t bits(const T& value) noexcept {
    std::uint64_t all = 0;
    std::memcpy(&all, &value, sizeof(T));
    return all;
  }
  void step(model::op what, std::uint64_t expected = 0) const noexcept {
    model::step({.what = what, .size = sizeof(T), .where = &value_, .expected = expected});
  }
  static T told(T before, const T& after) noexcept {
    model::step_done(bits(before), bits(after));
    return before;
  }
  template <class Change>
  T modify(Change change) noexcept {
    step(model::op::modify);
    const T before = value_;
    value_ = change(before);
    return told(before, value_);
  }

  T value_;
};

class plain_mutex {
 public:
  plain_mutex() noexcept = default;
  plain_mutex(const plain_mutex&) = delete;
  plain_mutex& operator=(const plain_mutex&) = delete;

  void lock() noexcept {
    model::step({.what = model::op::lock, .size = 1, .where = &held_, .expected = 0});
    held_ = 1;
  }
  void unlock() noexcept {
    model::step({.what = model::op::unlock, .size = 1, .where = &held_, .expected = 0});
    held_ = 0;
  }
  // Defined nowhere: nothing in weir uses it, and the scheduler would need to know that it can fail.
  bool try_lock() noexcept;

 private:
  std::uint8_t held_ = 0;
};

/// No step: nobody else can see it. It outlives a run, as that of a thread outlives what the thread does.
template <class Owner, class T, T First>
class per_thread {
 public:
  static T& mine() noexcept {
    static std::array<T, model::max_threads + 1> all = [] {
      std::array<T, model::max_threads + 1> first{};
      first.fill(First);
      return first;
    }();
    return all[model::current_thread()];
  }
};

}  // namespace weir::inline v0::detail
