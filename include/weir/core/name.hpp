#pragma once
/// \file
/// Names of policies, interned: a copy is one pointer, and what it points to lives as long as the process.
///
/// A rejection carries the name of the policy that made it and may outlive that policy, so names are never freed. Their
/// number is bounded by the number of *different* names that a program gives to its policies; take them from configuration,
/// never from requests.

#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace weir::inline v0 {

/// Trivially copyable. Equal text means equal pointer. Default: the empty name.
///
/// Visible across shared objects, even where everything else is hidden: two tables would make equal names differ.
class __attribute__((visibility("default"))) name {
 public:
  constexpr name() noexcept = default;

  /// Interns `text`. Takes a lock and may allocate: for construction and configuration, not for the hot path.
  /// Thread-safe. Errors: std::bad_alloc. Complexity: O(log names).
  explicit name(std::string_view text) : text_(text.empty() ? nullptr : intern(text)) {}

  [[nodiscard]] std::string_view view() const noexcept { return text_ ? std::string_view{*text_} : std::string_view{}; }

  friend bool operator==(name a, name b) noexcept { return a.text_ == b.text_; }

 private:
  static const std::string* intern(std::string_view text) {
    // Leaked on purpose: rejections may be read while static objects are destroyed.
    struct table {
      std::mutex mutex;
      std::set<std::string, std::less<>> names;
    };
    static table& names = *new table;
    std::lock_guard lock{names.mutex};
    auto found = names.names.find(text);
    if (found == names.names.end()) found = names.names.emplace(text).first;
    return &*found;
  }

  const std::string* text_ = nullptr;
};

}  // namespace weir::inline v0
