#pragma once
/// \file
/// `any_policy`: any admission policy behind one type, for chains that are put together at run time.
///
/// ```cpp
/// weir::rate_limiter limiter{{.name = "search"}};
/// std::vector<weir::any_policy> stages;
/// stages.emplace_back(limiter);                                                             // refers
/// stages.emplace_back(std::make_shared<weir::circuit_breaker>(weir::circuit_breaker_config{}));  // shares
/// ```
/// An erased call costs an indirect call; an erased permit lies inline. Nothing is allocated per call.
/// Thread-safe, if the policy is.

#include <weir/core/admission.hpp>
#include <weir/pipeline/explain.hpp>
#include <weir/pipeline/waiting_policy.hpp>

#include <cassert>
#include <concepts>
#include <cstddef>
#include <memory>
#include <new>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

/// Any permit, stored inline; one cache line. Empty after a move; functions of an empty permit do nothing.
class [[nodiscard]] any_permit {
 public:
  /// Largest permit that fits, in bytes. The permits of weir's policies do; those of static pipelines seldom: put their
  /// layers into the dynamic one instead.
  static constexpr std::size_t capacity = 56;

  // The class itself is excluded first: asking whether it is a permit would ask for this constructor.
  template <class Permit>
    requires(!std::same_as<std::remove_cvref_t<Permit>, any_permit> && permit_type<Permit>)
  explicit any_permit(Permit&& permit) noexcept : table_(&table_of<Permit>) {
    static_assert(sizeof(Permit) <= capacity && alignof(Permit) <= alignof(void*), "this permit is too large to be erased");
    static_assert(std::is_nothrow_move_constructible_v<Permit>);
    ::new (static_cast<void*>(storage_)) Permit(std::forward<Permit>(permit));
  }
  any_permit(any_permit&& other) noexcept : table_(std::exchange(other.table_, nullptr)) {
    if (table_ != nullptr) table_->relocate(storage_, other.storage_);
  }
  any_permit& operator=(any_permit&& other) noexcept {
    if (this == &other) return *this;
    reset();
    table_ = std::exchange(other.table_, nullptr);
    if (table_ != nullptr) table_->relocate(storage_, other.storage_);
    return *this;
  }
  ~any_permit() { reset(); }

  void release(const completion& c) noexcept {
    if (table_ != nullptr) table_->release(storage_, c);
  }
  void release(outcome o) noexcept { release(completion{.result = o}); }
  void cancel() noexcept {
    if (table_ != nullptr) table_->cancel(storage_);
  }

 private:
  struct table {
    void (*release)(void*, const completion&) noexcept;
    void (*cancel)(void*) noexcept;
    void (*relocate)(void* to, void* from) noexcept;  // leaves `from` destroyed
    void (*destroy)(void*) noexcept;
  };

  template <class Permit>
  static Permit& as(void* storage) noexcept {
    return *std::launder(static_cast<Permit*>(storage));
  }
  template <class Permit>
  static constexpr table table_of{
      [](void* p, const completion& c) noexcept { as<Permit>(p).release(c); },
      [](void* p) noexcept { as<Permit>(p).cancel(); },
      [](void* to, void* from) noexcept {
        ::new (to) Permit(std::move(as<Permit>(from)));
        as<Permit>(from).~Permit();
      },
      [](void* p) noexcept { as<Permit>(p).~Permit(); },
  };

  void reset() noexcept {
    if (const table* t = std::exchange(table_, nullptr)) t->destroy(storage_);
  }

  const table* table_;
  alignas(void*) std::byte storage_[capacity];
};
static_assert(permit_type<any_permit> && sizeof(any_permit) == 64);

/// A handle on any policy: copies mean the same policy. Itself a policy.
class any_policy {
 public:
  using permit = any_permit;

  /// Refers to a policy that outlives the handle and all permits.
  template <class Policy>
    requires(!std::same_as<std::remove_cv_t<Policy>, any_policy> && admission_policy<Policy>)
  explicit any_policy(Policy& policy) noexcept
      // Without an owner to count, the pointer allocates nothing.
      : any_policy(std::shared_ptr<Policy>(std::shared_ptr<void>{}, &policy)) {}

  /// Shares a policy. The permits do not keep it alive, the handle does. Precondition: not null.
  template <class Policy>
    requires(!std::same_as<std::remove_cv_t<Policy>, any_policy> && admission_policy<Policy>)
  explicit any_policy(std::shared_ptr<Policy> policy) noexcept : policy_(std::move(policy)), table_(&table_of<Policy>) {
    assert(policy_ != nullptr);
  }

  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept { return table_->try_acquire(policy_.get(), c); }

  /// Waits, if the policy is one in which calls can wait; else as `try_acquire`.
  [[nodiscard]] result<permit> acquire(const call& c = {}, std::stop_token stop = {}) {
    return table_->acquire(policy_.get(), c, std::move(stop));
  }

  [[nodiscard]] time_point now() const noexcept { return table_->now(policy_.get()); }

  /// Whether calls can wait in this policy.
  [[nodiscard]] bool waits() const noexcept { return table_->waits; }

  /// See `explain`.
  [[nodiscard]] layer describe() const { return table_->describe(policy_.get()); }

 private:
  struct table {
    result<permit> (*try_acquire)(void*, const call&) noexcept;
    result<permit> (*acquire)(void*, const call&, std::stop_token);
    time_point (*now)(const void*) noexcept;
    layer (*describe)(const void*);
    bool waits;
  };

  template <class Permit>
  static result<permit> erased(result<Permit>&& r) noexcept {
    if (r) return result<permit>{boost::system::in_place_value, std::move(*r)};
    return result<permit>{boost::system::in_place_error, r.error()};
  }

  template <class Policy>
  static constexpr table table_of{
      [](void* p, const call& c) noexcept { return erased(static_cast<Policy*>(p)->try_acquire(c)); },
      [](void* p, const call& c, std::stop_token stop) {
        if constexpr (waiting_policy<Policy>) {
          return erased(static_cast<Policy*>(p)->acquire(c, std::move(stop)));
        } else {
          return erased(static_cast<Policy*>(p)->try_acquire(c));
        }
      },
      [](const void* p) noexcept { return static_cast<const Policy*>(p)->now(); },
      [](const void* p) { return detail::describe_layer(*static_cast<const Policy*>(p)); },
      waiting_policy<Policy>,
  };

  std::shared_ptr<void> policy_;
  const table* table_;
};
static_assert(admission_policy<any_policy>);

}  // namespace weir::inline v0
