#pragma once
/// \file
/// Tenants that share a line and what it waits for. Not thread-safe.

#include <weir/core/detail/intrusive_list.hpp>
#include <weir/queue/detail/lane.hpp>
#include <weir/queue/discipline.hpp>
#include <weir/stats/coarse_histogram.hpp>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::inline v0::detail {

/// Deficit round robin (M. Shreedhar, G. Varghese, 1995) over a lane per tenant, with caps and reservations.
///
/// - `turns_` holds those whose head may be served; a tenant at its cap leaves it, and comes back with what is left of its
///   turn. In its turn a tenant is given weight * quantum, and served until its next call costs more than it has left. The
///   quantum is the largest cost seen in the last round (1, if all cost that), so that hardly anybody is passed over in
///   vain: O(1), amortised where costs differ.
/// - Who has places reserved that it does not use goes first, and that is not counted as its turn. These places are never
///   lent: the owner has free - unfilled reservations of all to lend, a tenant can have that and what is reserved for it.
/// - What costs more than there is to lend waits until there is enough, and so do those behind it, as in any line.
class tenant_lanes {
 public:
  /// Of so many tenants, the first that are listed, what became of their waits is kept apart; the others' together.
  static constexpr std::size_t most_accounts = 64;

  /// What became of the waits of a tenant; not after `reconfigure` with other tenants.
  struct account {
    std::uint64_t taken = 0;  ///< with and without waiting
    coarse_histogram granted, failed;
  };

  /// Errors: std::bad_alloc.
  explicit tenant_lanes(const queue_discipline& config)
      : lanes_(config.tenants.size() + 1), accounts_(1 + std::min(config.tenants.size(), most_accounts)) {
    table_.resize(std::bit_ceil(2 * config.tenants.size() + 1));
    lanes_[0].share = config.others;
    for (std::size_t i = 0; i < config.tenants.size(); ++i) {
      lanes_[i + 1].share = config.tenants[i];
      std::size_t at = home(config.tenants[i].tenant);
      while (table_[at] != 0) at = (at + 1) & (table_.size() - 1);
      table_[at] = static_cast<std::uint32_t>(i + 1);
    }
    unfilled_ = reserved_by_all(config);
  }
  tenant_lanes(const tenant_lanes&) = delete;
  tenant_lanes& operator=(const tenant_lanes&) = delete;

  /// Goes on with what the tenants of `before` have in use. Precondition: nobody waits in either.
  void take_over(tenant_lanes& before) noexcept {
    const auto same = [](const tenant_lane& a, const tenant_lane& b) { return a.share.tenant == b.share.tenant; };
    if (std::equal(lanes_.begin() + 1, lanes_.end(), before.lanes_.begin() + 1, before.lanes_.end(), same)) {
      accounts_.swap(before.accounts_);
    }
    for (tenant_lane& each : lanes_) {
      const tenant_lane& old = &each == &lanes_[0] ? before.lanes_[0] : before.of(each.share.tenant);
      if (&each != &lanes_[0] && &old == &before.lanes_[0]) continue;
      use(each, old.in_use);
    }
    capacity_ = before.capacity_;
  }

  void push(wait_node& node) noexcept {
    tenant_lane& t = of(node.tenant);
    t.waiting.push_back(node);
    count(t);
    if (t.waiting.front() == &node) place(t);
  }
  void erase(wait_node& node) noexcept {
    tenant_lane& t = of(node.tenant);
    const bool first = t.waiting.front() == &node;
    t.waiting.erase(node);
    count(t);
    if (first) place(t);
  }
  /// Of those who wait, as many as could be served if nothing but caps and reservations stood in the way. Precondition:
  /// each costs 1.
  [[nodiscard]] std::uint32_t servable() const noexcept {
    const std::uint64_t to_lend = capacity_ == tenant_share::unlimited             ? ~std::uint64_t{0}
                                  : std::uint64_t{capacity_} > in_use_ + unfilled_ ? capacity_ - in_use_ - unfilled_
                                                                                   : 0;
    return static_cast<std::uint32_t>(claiming_ + std::min(borrowing_, to_lend));
  }

  /// Who is next; nullptr: nobody may be served. The same again, if nothing else has happened.
  [[nodiscard]] wait_node* pick() noexcept {
    if (const claim* first = claims_.front()) return first->whose->waiting.front();
    while (tenant_lane* t = turns_.front()) {
      wait_node* head = t->waiting.front();
      if (!t->in_turn) begin_turn(*t);
      largest_ = std::max(largest_, price(*head));
      if (price(*head) <= t->deficit) return can_have(*t, head->cost) ? head : nullptr;
      t->in_turn = false;
      turns_.erase(*t);
      turns_.push_back(*t);
    }
    return nullptr;
  }
  /// `node`, which was picked, is served, and will be erased.
  [[gnu::noinline]] void charge(const wait_node& node) noexcept {
    tenant_lane& t = of(node.tenant);
    if (!t.entitled.is_linked()) {
      t.deficit -= price(node);
    } else {
      claims_.erase(t.entitled);
      claims_.push_back(t.entitled);
    }
  }

  /// The wait of `node` has ended.
  [[gnu::noinline]] void note(const wait_node& node, wait_outcome how) noexcept {
    if (how == wait_outcome::cancelled) return;
    account& a = account_of(of(node.tenant));
    (how == wait_outcome::granted ? a.granted : a.failed).record(node.waited);
  }
  /// The first is that of all who have none of their own.
  [[nodiscard]] const std::vector<account>& accounts() const noexcept { return accounts_; }
  struct account_holder {
    std::uint32_t tenant = 0;  // 0 of the first account
    std::uint64_t waiting = 0, in_use = 0;
  };
  /// Whose the accounts are. Precondition: `i` < accounts().size(). Complexity: O(1), of the first O(tenants).
  [[nodiscard]] account_holder holder(std::size_t i) const noexcept {
    if (i != 0) return {lanes_[i].share.tenant, lanes_[i].waiting.size(), lanes_[i].in_use};
    account_holder others{0, lanes_[0].waiting.size(), lanes_[0].in_use};
    for (std::size_t k = accounts_.size(); k < lanes_.size(); ++k) {
      others.waiting += lanes_[k].waiting.size();
      others.in_use += lanes_[k].in_use;
    }
    return others;
  }

  [[nodiscard]] bool has_place(std::uint32_t tenant) const noexcept {
    const tenant_lane& t = of(tenant);
    return t.waiting.size() < t.share.max_waiting;
  }
  /// The cost of those of the same tenant.
  [[nodiscard]] std::uint64_t ahead_of(std::uint32_t tenant) const noexcept { return of(tenant).waiting.cost(); }

  void set_capacity(std::uint32_t slots) noexcept { capacity_ = slots; }
  [[nodiscard]] bool may_take(std::uint32_t tenant, std::uint32_t cost) const noexcept {
    const tenant_lane& t = of(tenant);
    return below_cap(t, cost) && can_have(t, cost);
  }
  void took(std::uint32_t tenant, std::uint32_t cost) noexcept {
    tenant_lane& t = of(tenant);
    use(t, t.in_use + cost);
    ++account_of(t).taken;
    place(t);
  }
  void gave_back(std::uint32_t tenant, std::uint32_t cost) noexcept {
    tenant_lane& t = of(tenant);
    assert(t.in_use >= cost && "gave back what it never took");
    use(t, t.in_use - std::min<std::uint64_t>(t.in_use, cost));
    place(t);
  }
  [[nodiscard]] std::uint64_t in_use(std::uint32_t tenant) const noexcept { return of(tenant).in_use; }

 private:
  struct tenant_lane;
  struct claim : list_hook {
    tenant_lane* whose = nullptr;
  };
  struct tenant_lane : list_hook {
    tenant_lane() noexcept { entitled.whose = this; }
    tenant_lane(const tenant_lane&) = delete;
    tenant_lane& operator=(const tenant_lane&) = delete;

    tenant_share share;
    lane waiting;
    std::uint64_t in_use = 0;
    std::uint64_t deficit = 0;
    bool in_turn = false;  // has been given its quantum
    claim entitled;
    std::uint32_t claiming = 0, borrowing = 0;  // of those who wait, could have what is reserved, and more
  };

  /// What costs nothing must not be had without end.
  static std::uint64_t price(const wait_node& node) noexcept { return std::max(node.cost, std::uint32_t{1}); }
  static bool below_cap(const tenant_lane& t, std::uint32_t cost) noexcept {
    return t.share.max_in_use == tenant_share::unlimited || t.in_use + cost <= t.share.max_in_use;
  }
  static std::uint64_t unfilled(const tenant_lane& t) noexcept {
    return t.share.reserved > t.in_use ? t.share.reserved - t.in_use : 0;
  }
  [[nodiscard]] bool can_have(const tenant_lane& t, std::uint32_t cost) const noexcept {
    if (cost <= unfilled(t) || capacity_ == tenant_share::unlimited) return true;
    return in_use_ + unfilled_ + cost <= capacity_ + unfilled(t);
  }

  [[nodiscard]] std::size_t home(std::uint32_t tenant) const noexcept {
    return (tenant * std::uint64_t{0x9E37'79B9'7F4A'7C15} >> 32) & (table_.size() - 1);
  }
  [[nodiscard]] const tenant_lane& of(std::uint32_t tenant) const noexcept {
    for (std::size_t at = home(tenant); table_[at] != 0; at = (at + 1) & (table_.size() - 1)) {
      if (lanes_[table_[at]].share.tenant == tenant) return lanes_[table_[at]];
    }
    return lanes_[0];
  }
  [[nodiscard]] tenant_lane& of(std::uint32_t tenant) noexcept {
    return const_cast<tenant_lane&>(static_cast<const tenant_lanes&>(*this).of(tenant));
  }

  account& account_of(const tenant_lane& t) noexcept {
    const auto i = static_cast<std::size_t>(&t - lanes_.data());
    return accounts_[i < accounts_.size() ? i : 0];
  }

  void use(tenant_lane& t, std::uint64_t amount) noexcept {
    unfilled_ -= unfilled(t);
    in_use_ = in_use_ - t.in_use + amount;
    t.in_use = amount;
    unfilled_ += unfilled(t);
    count(t);
  }
  void count(tenant_lane& t) noexcept {
    const std::uint64_t waiting = t.waiting.size();
    const std::uint64_t cap = t.share.max_in_use;
    const std::uint64_t below = cap == tenant_share::unlimited ? waiting : cap - std::min(cap, t.in_use);
    const auto claiming = static_cast<std::uint32_t>(std::min(waiting, unfilled(t)));
    const auto borrowing = static_cast<std::uint32_t>(std::min(waiting, below) - claiming);
    claiming_ = claiming_ - t.claiming + claiming;
    borrowing_ = borrowing_ - t.borrowing + borrowing;
    t.claiming = claiming;
    t.borrowing = borrowing;
  }

  void begin_turn(tenant_lane& t) noexcept {
    if (turns_left_ == 0) {
      quantum_ = largest_;
      largest_ = 1;
      turns_left_ = in_line_;
    }
    --turns_left_;
    t.deficit += t.share.weight * quantum_;
    t.in_turn = true;
  }

  /// Where its lane belongs, after a change of its head or of what it has in use.
  void place(tenant_lane& t) noexcept {
    const wait_node* head = t.waiting.front();
    if (head == nullptr) {
      t.deficit = 0;
      t.in_turn = false;
    }
    const bool eligible = head != nullptr && below_cap(t, head->cost);
    if (eligible && !t.is_linked()) {
      t.in_turn ? turns_.push_front(t) : turns_.push_back(t);
      ++in_line_;
    } else if (!eligible && t.is_linked()) {
      turns_.erase(t);
      turns_left_ = std::min(turns_left_, --in_line_);
      if (in_line_ == 0) largest_ = 1;
    }
    const bool claims = eligible && unfilled(t) > 0 && head->cost <= unfilled(t);
    if (claims == t.entitled.is_linked()) return;
    claims ? claims_.push_back(t.entitled) : claims_.erase(t.entitled);
  }

  std::vector<tenant_lane> lanes_;  // the first is that of all who are not listed
  std::vector<account> accounts_;
  std::vector<std::uint32_t> table_;  // by hash: an index of lanes_, 0 where there is none
  intrusive_list<tenant_lane> turns_;
  intrusive_list<claim> claims_;
  std::uint32_t in_line_ = 0;     // in turns_
  std::uint32_t turns_left_ = 0;  // in this round
  std::uint64_t quantum_ = 1;
  std::uint64_t largest_ = 1;  // cost seen in this round
  std::uint32_t capacity_ = tenant_share::unlimited;
  std::uint64_t in_use_ = 0;
  std::uint64_t unfilled_ = 0;  // reservations
  std::uint64_t claiming_ = 0, borrowing_ = 0;
};

}  // namespace weir::inline v0::detail
