#pragma once
/// \file
/// A doubly linked list whose hooks lie in the elements: no allocation, O(1) insertion and removal from anywhere.

#include <cassert>
#include <concepts>

namespace weir::inline v0::detail {

/// Base class of what goes into an `intrusive_list`. In at most one list at a time; copying an element copies no links.
class list_hook {
 public:
  list_hook() noexcept = default;
  list_hook(const list_hook&) noexcept {}
  list_hook& operator=(const list_hook&) noexcept { return *this; }  // NOLINT(bugprone-unhandled-self-assignment)

  [[nodiscard]] bool is_linked() const noexcept { return next_ != nullptr; }

 protected:
  ~list_hook() { assert(!is_linked() && "destroyed while in a list"); }

 private:
  template <class T>
  friend class intrusive_list;

  list_hook* previous_ = nullptr;
  list_hook* next_ = nullptr;
};

/// Does not own its elements. Not thread-safe. Pinned: the elements point at it.
template <class T>
class intrusive_list {
 public:
  intrusive_list() noexcept { end_.previous_ = end_.next_ = &end_; }
  intrusive_list(const intrusive_list&) = delete;
  intrusive_list& operator=(const intrusive_list&) = delete;
  ~intrusive_list() {
    assert(empty());
    end_.next_ = nullptr;
  }

  [[nodiscard]] bool empty() const noexcept { return end_.next_ == &end_; }
  /// The first element; nullptr if empty.
  [[nodiscard]] T* front() const noexcept { return empty() ? nullptr : static_cast<T*>(end_.next_); }
  /// The last element; nullptr if empty.
  [[nodiscard]] T* back() const noexcept { return empty() ? nullptr : static_cast<T*>(end_.previous_); }
  /// The element behind `element`; nullptr at the end.
  [[nodiscard]] T* after(const T& element) const noexcept {
    list_hook* next = hook(element).next_;
    return next == &end_ ? nullptr : static_cast<T*>(next);
  }

  void push_back(T& element) noexcept {
    auto& h = hook(element);
    assert(!h.is_linked());
    h.previous_ = end_.previous_;
    h.next_ = &end_;
    end_.previous_->next_ = &h;
    end_.previous_ = &h;
  }

  void push_front(T& element) noexcept {
    auto& h = hook(element);
    assert(!h.is_linked());
    h.previous_ = &end_;
    h.next_ = end_.next_;
    end_.next_->previous_ = &h;
    end_.next_ = &h;
  }

  /// Precondition: `place` is in this list.
  void insert_before(T& place, T& element) noexcept {
    auto &p = hook(place), &h = hook(element);
    assert(p.is_linked() && !h.is_linked());
    h.previous_ = p.previous_;
    h.next_ = &p;
    p.previous_->next_ = &h;
    p.previous_ = &h;
  }

  /// Precondition: `element` is in this list.
  void erase(T& element) noexcept {
    auto& h = hook(element);
    assert(h.is_linked());
    h.previous_->next_ = h.next_;
    h.next_->previous_ = h.previous_;
    h.previous_ = h.next_ = nullptr;
  }

  /// nullptr if empty.
  T* pop_front() noexcept {
    T* first = front();
    if (first != nullptr) erase(*first);
    return first;
  }

  /// nullptr if empty.
  T* pop_back() noexcept {
    T* last = back();
    if (last != nullptr) erase(*last);
    return last;
  }

  /// Moves all elements of `other` behind those of this list. O(1).
  void splice_back(intrusive_list& other) noexcept {
    if (other.empty()) return;
    list_hook* first = other.end_.next_;
    list_hook* last = other.end_.previous_;
    other.end_.previous_ = other.end_.next_ = &other.end_;
    first->previous_ = end_.previous_;
    end_.previous_->next_ = first;
    last->next_ = &end_;
    end_.previous_ = last;
  }

 private:
  static list_hook& hook(const T& element) noexcept {
    static_assert(std::derived_from<T, list_hook>);
    return const_cast<T&>(element);
  }

  list_hook end_;
};

}  // namespace weir::inline v0::detail
