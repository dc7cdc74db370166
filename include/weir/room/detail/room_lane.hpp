#pragma once
/// \file
/// One line of a room: who waits, who is still there, who polls too often, since when.

#include <weir/core/time.hpp>
#include <weir/room/detail/arrival_times.hpp>
#include <weir/room/detail/poll_slots.hpp>
#include <weir/room/detail/room_tally.hpp>
#include <weir/room/eta_estimator.hpp>
#include <weir/room/lottery.hpp>
#include <weir/room/presence_map.hpp>
#include <weir/room/rank_index.hpp>
#include <weir/room/room_config.hpp>
#include <weir/room/room_image.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>

namespace weir::inline v0::detail {

/// Seats have *numbers*, which their owners know, and *places*, by which they are served. They differ for those who came
/// before the opening and were drawn; everywhere inside of a room it is places that count. Not thread-safe.
class room_lane {
 public:
  static constexpr std::uint64_t block_size = rank_index::block_size;

  room_lane(const room_lane_config& config, const eta_config& eta, bool presence, time_point now, std::uint64_t first = 0)
      : config_(config),
        presence_(presence),
        line_(first),
        there_(first),
        polls_(first),
        arrivals_(now, first),
        eta_(eta),
        turns_base_(first / block_size) {}

  room_lane(room_lane&&) = default;
  room_lane& operator=(room_lane&&) = default;

  [[nodiscard]] const room_lane_config& config() const noexcept { return config_; }
  /// But for its name. Whom its `cap` would not let in stays.
  void reconfigure(const room_lane_config& config) noexcept {
    config_.weight = config.weight;
    config_.min_share = config.min_share;
    config_.cap = config.cap;
    config_.bypass = config.bypass;
  }
  /// Estimates begin afresh.
  void estimate_by(const eta_config& eta) noexcept { eta_ = eta_estimator{eta}; }
  [[nodiscard]] const rank_index& line() const noexcept { return line_; }
  [[nodiscard]] std::uint64_t waiting() const noexcept { return line_.size(); }
  [[nodiscard]] eta_estimator& eta() noexcept { return eta_; }
  [[nodiscard]] const eta_estimator& eta() const noexcept { return eta_; }
  [[nodiscard]] arrival_times& arrivals() noexcept { return arrivals_; }
  [[nodiscard]] const arrival_times& arrivals() const noexcept { return arrivals_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return line_.bytes() + there_.bytes() + polls_.bytes(); }

  [[nodiscard]] std::uint64_t place_of(std::uint64_t number) const noexcept {
    return drawn_ && number < drawn_->size() ? drawn_->rank_of(number) : number;
  }
  [[nodiscard]] std::uint64_t number_of(std::uint64_t place) const noexcept {
    return drawn_ && place < drawn_->size() ? drawn_->arrival_of(place) : place;
  }

  /// The number of who joins, at the end. `stands_for`: it stands for its neighbours in arrivals(). Errors:
  /// std::bad_alloc, and nobody has joined.
  std::uint64_t join(time_point now, bool& stands_for) {
    const std::uint64_t number = line_.tail();
    stands_for = number >= covered_ && cover_neighbours(number, now);
    return line_.join();
  }
  /// false: did not wait.
  bool leave(std::uint64_t place) noexcept {
    const bool waited = line_.leave(place);
    (void)there_.take_back(place);  // its place is kept for nobody
    return waited;
  }
  /// As leave, of who was just found absent: its place is kept.
  bool leave_absent(std::uint64_t place) noexcept { return line_.leave(place); }
  /// Was found absent, but is there in another way.
  void is_there(std::uint64_t place) noexcept { (void)there_.take_back(place); }
  /// Its old place again, whatever became of it.
  bool come_back(std::uint64_t place) noexcept { return line_.come_back(place); }
  /// Who was found absent, and is there again. false: was not, or it is too late.
  bool return_from_absence(std::uint64_t place) noexcept { return there_.take_back(place) && line_.come_back(place); }
  [[nodiscard]] bool is_absent(std::uint64_t place) const noexcept { return there_.is_absent(place); }

  void beat(std::uint64_t place) noexcept {
    if (presence_) there_.beat(place);
  }
  duration poll(std::uint64_t place, time_point now) { return polls_.poll(place, now); }
  void told(std::uint64_t place, duration hint, time_point now) noexcept { polls_.told(place, hint, now); }

  /// Turns the blocks whose time has come. `every(ahead)`: how often who has so many ahead is asked to poll;
  /// `gone(place)`: is absent, and to be taken out.
  template <class Every, class Gone>
  void turn(time_point now, duration least, Every&& every, Gone&& gone) {
    if (!presence_) return;
    for (std::size_t i = 0; i < turns_.size(); ++i) {
      if (turns_[i] > now) continue;
      const std::uint64_t first = (turns_base_ + i) * block_size;
      turns_[i] = later(now, std::max(least, 3 * every(line_.ahead(first + block_size))));  // also if `gone` throws
      there_.turn(first, line_, gone);
    }
  }
  /// Nothing that lies before `keep` is asked for any more.
  void forget_before(std::uint64_t keep) noexcept {
    keep = std::min(keep, line_.head());
    for (std::uint64_t first = turns_base_ * block_size; presence_ && first < keep; first += block_size) {
      if (there_.keeps(first)) keep = first;
    }
    line_.forget_before(keep);
    there_.forget_before(keep);
    polls_.forget_before(keep);
    arrivals_.forget_before(keep);
    const std::size_t whole =
        std::min<std::size_t>(keep / block_size - std::min(keep / block_size, turns_base_), turns_.size());
    turns_.erase(turns_.begin(), turns_.begin() + static_cast<std::ptrdiff_t>(whole));
    turns_base_ += whole;
  }

  [[nodiscard]] bool is_drawn() const noexcept { return drawn_.has_value(); }
  /// The room opens: those who have come, all of them, are drawn. Errors: std::bad_alloc, and nothing has changed.
  /// Complexity: O(n).
  void draw(const lottery& drawn, time_point now) {
    const std::uint64_t n = drawn.size();
    rank_index line;
    presence_map there;
    unknown_places unknown;
    for (std::uint64_t i = 0; i < n; ++i) (void)line.join();
    if (presence_ || !unknown_.empty()) there.cover(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t place = drawn.rank_of(i);
      if (!line_.waits(i)) (void)line.leave(place);
      if (there_.is_absent(i)) there.keep(place);
      if (is_unknown(i)) unknown[place / block_size][place % block_size / 64] |= std::uint64_t{1} << place % 64;
    }
    const std::size_t blocks = presence_ ? (n + block_size - 1) / block_size : 0;
    std::deque<time_point> turns(blocks, now);  // the first turn judges nobody
    drawn_ = drawn;
    line_ = std::move(line);
    there_ = std::move(there);
    unknown_ = std::move(unknown);
    turns_ = std::move(turns);
    polls_ = poll_slots{};
    turns_base_ = 0;
    covered_ = 0;
  }

  /// Numbers below `tail` have been given out; of those below `reserved` nobody knows: who has one may take its place.
  /// Errors: std::bad_alloc. Complexity: O((reserved - first) / 64).
  void restore(std::uint64_t tail, std::uint64_t reserved, time_point now) {
    constexpr std::uint64_t neighbours = arrival_times::shared_by;
    for (std::uint64_t place = line_.tail(); place < reserved; place = (place / neighbours + 1) * neighbours) {
      (void)arrivals_.joined(place, now);
    }
    if (presence_ && line_.tail() < reserved) cover(reserved - 1, now);
    line_.join_many(reserved - std::min(reserved, line_.tail()));
    there_.cover(reserved);
    line_.leave_from(tail);
    there_.keep(tail, reserved);
    for (std::uint64_t place = tail, next = 0; place < reserved; place = next) {
      next = std::min((place / 64 + 1) * 64, reserved);
      const std::uint64_t below = next % 64 == 0 ? 0 : ~((std::uint64_t{1} << next % 64) - 1);
      unknown_[place / block_size][place % block_size / 64] |= ~((std::uint64_t{1} << place % 64) - 1) & ~below;
    }
  }
  /// The same of some that have been restored and do not wait. Errors: std::bad_alloc.
  void restore_unknown(const room_image::block& block) {
    auto& known = unknown_[block.first / block_size];
    for (std::size_t w = 0; w < block.second.size(); ++w) {
      known[w] |= block.second[w];
      for (std::uint64_t bits = block.second[w]; bits != 0; bits &= bits - 1) {
        there_.keep(block.first + w * 64 + static_cast<std::uint64_t>(std::countr_zero(bits)));
      }
    }
  }
  /// Was found absent before the restart, and its place is still kept. Precondition: is restored, and does not wait.
  void restore_absent(std::uint64_t place) noexcept { there_.keep(place); }
  /// Whether it was one of those of whom nobody knew; it is not any more.
  bool take_unknown(std::uint64_t place) noexcept {
    if (!is_unknown(place)) return false;
    unknown_[place / block_size][place % block_size / 64] &= ~(std::uint64_t{1} << place % 64);
    return true;
  }
  void restore_drawn(const lottery_seed& seed, std::uint64_t n) {
    if (n != 0) drawn_.emplace(seed, n);
  }

  std::uint64_t reserved = std::numeric_limits<std::uint64_t>::max();  ///< numbers below it may be given out
  std::uint64_t asked = 0;                                             ///< to be reserved, once `asked_in` is stored
  std::uint64_t asked_in = 0;
  std::uint64_t told_tail = 0;  ///< what the store knows, or will
  std::uint32_t inside = 0;     ///< offered and active
  double credit = 0;            ///< of its share
  lane_totals totals{};

 private:
  /// By block, a bit for each.
  using unknown_places = std::map<std::uint64_t, std::array<std::uint64_t, block_size / 64>>;

  [[nodiscard]] bool is_unknown(std::uint64_t place) const noexcept {
    const auto found = unknown_.find(place / block_size);
    return found != unknown_.end() && (found->second[place % block_size / 64] >> place % 64 & 1) != 0;
  }
  /// What `number` and its neighbours share. Whether it stands for them.
  bool cover_neighbours(std::uint64_t number, time_point now) {
    static_assert(block_size % arrival_times::shared_by == 0);
    if (presence_) cover(number, now);
    const bool first = arrivals_.joined(number, now);
    covered_ = (number / arrival_times::shared_by + 1) * arrival_times::shared_by;
    return first;
  }
  void cover(std::uint64_t number, time_point now) {
    there_.cover(number + 1);
    while ((turns_base_ + turns_.size()) * block_size <= number) turns_.push_back(now);
  }

  room_lane_config config_;
  bool presence_;
  rank_index line_;
  presence_map there_;
  poll_slots polls_;
  arrival_times arrivals_;
  eta_estimator eta_;
  std::optional<lottery> drawn_;
  std::deque<time_point> turns_;  // of each block, the next one
  std::uint64_t turns_base_;      // of the first block, in blocks
  std::uint64_t covered_ = 0;     // who has a number below it needs no memory that is not there
  unknown_places unknown_;
};

}  // namespace weir::inline v0::detail
