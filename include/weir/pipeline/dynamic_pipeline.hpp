#pragma once
/// \file
/// `dynamic_pipeline`: the pipeline whose layers are known at run time only, for chains that configuration describes.
///
/// ```cpp
/// std::vector<weir::any_policy> stages;
/// if (config.limit) stages.emplace_back(limiter);
/// stages.emplace_back(breaker);
/// weir::dynamic_pipeline protect{std::move(stages)};
/// auto page = protect.run([&] { return index.search(query); });
/// ```
/// Means what `pipeline` means; costs an indirect call per layer and report on top, and allocates nothing per call.
/// Thread-safe, if its policies are.

#include <weir/core/admission.hpp>
#include <weir/pipeline/any_policy.hpp>
#include <weir/pipeline/detail/run.hpp>
#include <weir/pipeline/explain.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// A chain of erased policies, outermost first; itself a policy. Pinned: must outlive its permits.
class dynamic_pipeline : public detail::runs_calls<dynamic_pipeline> {
 public:
  class permit;

  /// Bounds the size of a permit, which holds one erased permit per layer inline.
  static constexpr std::size_t max_stages = 16;

  /// Throws std::invalid_argument unless there are 1..max_stages stages of which at most one waits.
  explicit dynamic_pipeline(std::vector<any_policy> stages) : stages_(std::move(stages)) {
    if (stages_.empty() || stages_.size() > max_stages) {
      throw std::invalid_argument("dynamic_pipeline.stages: must be 1 to " + std::to_string(max_stages) + ", are " +
                                  std::to_string(stages_.size()));
    }
    const auto waiting = std::count_if(stages_.begin(), stages_.end(), [](const any_policy& p) { return p.waits(); });
    if (waiting > 1) {
      throw std::invalid_argument("dynamic_pipeline.stages: at most one may be one in which calls wait, " +
                                  std::to_string(waiting) + " are");
    }
  }
  dynamic_pipeline(const dynamic_pipeline&) = delete;
  dynamic_pipeline& operator=(const dynamic_pipeline&) = delete;

  /// See `pipeline::try_acquire`.
  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept;

  /// See `pipeline::acquire`. If no layer waits, as `try_acquire`.
  [[nodiscard]] result<permit> acquire(const call& c = {}, std::stop_token stop = {});

  /// The clock of the outermost layer.
  [[nodiscard]] time_point now() const noexcept { return stages_.front().now(); }

  /// Whether calls can wait in one of its layers.
  [[nodiscard]] bool waits() const noexcept {
    return std::any_of(stages_.begin(), stages_.end(), [](const any_policy& stage) { return stage.waits(); });
  }

  /// See `pipeline::explain`.
  [[nodiscard]] std::string explain() const { return detail::explain_chain(describe().inner); }
  [[nodiscard]] layer describe() const {
    layer self{.kind = layer_kind::pipeline};
    for (const any_policy& stage : stages_) self.inner.push_back(stage.describe());
    return self;
  }

 private:
  template <class Ask>
  result<permit> acquire_all(call& c, const Ask& ask);

  std::vector<any_policy> stages_;
};

/// See `pipeline::permit`.
class [[nodiscard]] dynamic_pipeline::permit {
 public:
  permit(permit&& other) noexcept { take(other); }
  permit& operator=(permit&& other) noexcept {
    if (this == &other) return *this;
    release(outcome::ignored);
    take(other);
    return *this;
  }
  ~permit() { release(outcome::ignored); }

  void release(completion c) noexcept {
    if (size_ == 0) return;
    if (c.now == read_clock) c.now = owner_->now();
    if (c.took == completion::unmeasured) c.took = std::max(duration::zero(), elapsed(admitted_, c.now));
    inside_out([&](any_permit& p) { p.release(c); });
  }
  void release(outcome o) noexcept { release(completion{.result = o}); }
  void cancel() noexcept {
    inside_out([](any_permit& p) { p.cancel(); });
  }

 private:
  friend class dynamic_pipeline;

  explicit permit(const dynamic_pipeline& owner) noexcept : owner_(&owner) {}

  void push(any_permit&& p) noexcept { ::new (slot(size_++)) any_permit(std::move(p)); }

  // Precondition: this one is empty.
  void take(permit& other) noexcept {
    owner_ = other.owner_;
    admitted_ = other.admitted_;
    for (std::size_t i = 0; i < other.size_; ++i) {
      push(std::move(other.at(i)));
      other.at(i).~any_permit();
    }
    other.size_ = 0;
  }

  template <class Tell>
  void inside_out(const Tell& tell) noexcept {
    while (size_ > 0) {
      any_permit& innermost = at(--size_);
      tell(innermost);
      innermost.~any_permit();
    }
  }

  void* slot(std::size_t i) noexcept { return storage_ + i * sizeof(any_permit); }
  any_permit& at(std::size_t i) noexcept { return *std::launder(static_cast<any_permit*>(slot(i))); }

  const dynamic_pipeline* owner_;
  time_point admitted_{};
  std::size_t size_ = 0;
  // Left uninitialised: only the slots in use are ever touched.
  alignas(any_permit) std::byte storage_[max_stages * sizeof(any_permit)];
};

template <class Ask>
result<dynamic_pipeline::permit> dynamic_pipeline::acquire_all(call& c, const Ask& ask) {
  if (c.now == read_clock) c.now = now();
  permit all{*this};
  const detail::refund_unless_moved<permit> undo{all};
  for (any_policy& stage : stages_) {
    result<any_permit> own = ask(stage, c);
    if (!own) return result<permit>{boost::system::in_place_error, own.error()};
    all.push(std::move(*own));
  }
  all.admitted_ = c.now;
  return result<permit>{boost::system::in_place_value, std::move(all)};
}

inline auto dynamic_pipeline::try_acquire(const call& c) noexcept -> result<permit> {
  call timed = c;
  return acquire_all(timed, [](any_policy& stage, const call& asked) { return stage.try_acquire(asked); });
}

inline auto dynamic_pipeline::acquire(const call& c, std::stop_token stop) -> result<permit> {
  call timed = c;
  return acquire_all(timed, [&](any_policy& stage, call& asked) {
    if (!stage.waits()) return stage.try_acquire(asked);
    auto own = stage.acquire(asked, stop);
    asked.now = now();
    return own;
  });
}

static_assert(admission_policy<dynamic_pipeline>);

}  // namespace weir::inline v0
