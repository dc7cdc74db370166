#pragma once
/// \file
/// What a room knows of its seats: lines, sessions, endings, subjects, counts, and what its store is to know.

#include <weir/core/random.hpp>
#include <weir/room/detail/ended_seats.hpp>
#include <weir/room/detail/flat_tables.hpp>
#include <weir/room/detail/room_lane.hpp>
#include <weir/room/detail/room_log.hpp>
#include <weir/room/detail/room_tally.hpp>
#include <weir/room/detail/session_table.hpp>
#include <weir/room/detail/subject_index.hpp>
#include <weir/room/room_config.hpp>
#include <weir/room/room_effects.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

namespace weir::inline v0 {

namespace detail {

class room_books {
 public:
  [[nodiscard]] const room_config& config() const noexcept { return config_; }
  [[nodiscard]] room_mode mode() const noexcept { return mode_; }
  /// What somebody who waits is told, also before anybody was held up.
  [[nodiscard]] hold_reason held_now() const noexcept {
    if (mode_ == room_mode::prequeue) return hold_reason::not_open;
    if (mode_ == room_mode::paused || mode_ == room_mode::closed) return hold_reason::paused;
    return store_works_ ? held_ : hold_reason::store;
  }
  [[nodiscard]] const room_totals& totals() const noexcept { return totals_; }
  [[nodiscard]] std::uint64_t waiting() const noexcept { return waiting_; }
  [[nodiscard]] std::uint32_t offered() const noexcept { return sessions_.offered(); }
  [[nodiscard]] std::uint32_t active() const noexcept { return sessions_.active(); }
  [[nodiscard]] const room_lane& lane(std::uint8_t i) const noexcept { return lanes_[i]; }
  [[nodiscard]] std::uint8_t lanes() const noexcept { return static_cast<std::uint8_t>(lanes_.size()); }  // at most 16

  /// Events since the last call, oldest first, if they are wanted. O(1).
  void take_events(std::vector<seat_changed>& into) noexcept {
    into.clear();
    std::swap(into, events_);
  }
  /// Whether changes of seats are kept for `take_events`.
  void want_events(bool wanted) noexcept { events_wanted_ = wanted; }

  /// Records that have not been taken, and the number up to which these are all: see `room_core::stored`.
  std::uint64_t take_records(std::vector<room_record>& into) {
    for (std::uint8_t i = 0; i < lanes(); ++i) {
      room_lane& l = lanes_[i];
      if (!log_.is_durable() || l.line().tail() == l.told_tail) continue;
      log_.reserve(1);
      l.told_tail = l.line().tail();
      (void)log_.add({.what = room_record::kind::numbers, .lane = i, .number = l.asked, .other = l.told_tail});
    }
    return log_.take(into);
  }
  [[nodiscard]] std::uint64_t unstored() const noexcept { return log_.unstored(); }
  /// Whether there is something for the store: a record, or joins that it does not know of.
  [[nodiscard]] bool has_records() const noexcept {
    return !log_.empty() || (log_.is_durable() && std::any_of(lanes_.begin(), lanes_.end(), [](const room_lane& l) {
                               return l.line().tail() != l.told_tail;
                             }));
  }

 protected:
  static constexpr std::uint64_t numbers_at_once = 65'536;  // reserved ahead: joins do not wait for the store

  room_books(const room_config& config, bool durable, time_point now)
      : config_(validated(config)),
        subjects_(config.lapsed == after_lapse::requeue_back),
        log_(durable),
        random_(config.seed, "room"),
        began_(now) {
    mode_ = config_.opens_at ? room_mode::prequeue : room_mode::open;
    for (const auto& lane : config_.lanes) lanes_.emplace_back(lane, eta_of(config_, lane), config_.presence, now);
    if (!durable) return;
    for (auto& lane : lanes_) lane.reserved = 0;
  }
  ~room_books() = default;

  [[nodiscard]] static eta_config eta_of(const room_config& config, const room_lane_config& lane) {
    eta_config e{.tau = config.eta_memory};
    double weights = 0;
    for (const auto& each : config.lanes) weights += each.weight;
    const double share = config.order == lane_order::weighted ? lane.weight / weights : 1;
    if (config.admit) {
      const double per = std::chrono::duration<double>(config.admit->per).count();
      e.prior_per_s = share * static_cast<double>(config.admit->permits) / per;
      if (config.pace != room_pace::smooth) e.bin = std::max(e.bin, config.admit->per);
      e.tau = std::max(e.tau, 4 * e.bin);
    } else if (config.max_active != 0) {
      // Little, with sessions that use all of their time.
      e.prior_per_s = share * config.max_active / std::chrono::duration<double>(config.session_ttl).count();
    }
    return e;
  }

  /// Memory for whatever one step may have to write down. Errors: std::bad_alloc, and nothing has changed. Pointers to
  /// sessions are good until the next call.
  void prepare() {
    log_.reserve(8);
    sessions_.reserve_one();
    if (events_wanted_ && events_.size() + 4 > events_.capacity()) events_.reserve(2 * events_.capacity() + 64);
  }

  [[nodiscard]] bool is_known(seat_id seat) const noexcept {
    return seat.lane < lanes_.size() && seat.number < lanes_[seat.lane].line().tail();
  }
  [[nodiscard]] seat_key key_of_seat(seat_id seat) const noexcept {
    return key_of(seat.lane, lanes_[seat.lane].place_of(seat.number));
  }
  [[nodiscard]] seat_id seat_of(seat_key key) const noexcept {
    const std::uint8_t lane = lane_of(key);
    return {lane, lanes_[lane].number_of(detail::place_of(key))};
  }
  /// Still holds a place, an offer or a session, or could take its place again.
  [[nodiscard]] bool lives(seat_id seat) const noexcept {
    if (!is_known(seat)) return false;
    const seat_key key = key_of_seat(seat);
    const std::uint64_t place = detail::place_of(key);
    return lanes_[seat.lane].line().waits(place) || sessions_.find(key) != nullptr || lanes_[seat.lane].is_absent(place);
  }

  /// Those who are served before `ahead` others of `lane` have been.
  [[nodiscard]] std::uint64_t ahead_of(std::uint8_t lane, std::uint64_t place) const noexcept {
    std::uint64_t ahead = lanes_[lane].line().ahead(place);
    if (config_.order == lane_order::strict) {
      for (std::uint8_t i = 0; i < lane; ++i) ahead += lanes_[i].waiting();
    }
    return ahead;
  }
  [[nodiscard]] duration poll_after_for(std::uint8_t lane, std::uint64_t ahead, time_point now) const noexcept {
    return poll_after(ahead, waiting_, moves_ ? lanes_[lane].eta().rate_per_s(now) : 0, config_.polls);
  }

  /// `bind`: of who asks; only the device that has claimed a session is told which it is.
  [[nodiscard]] seat_view describe(seat_key key, std::uint64_t bind, time_point now) {
    const std::uint8_t lane = lane_of(key);
    const std::uint64_t place = detail::place_of(key);
    seat_view v{.seat = seat_of(key), .total_waiting = waiting_};
    const room_session* s = sessions_.find(key);
    if (s != nullptr && log_.is_stored(s->record)) {
      v.state = s->state;
      if (s->state == seat_state::offered) {
        v.offer_expires = s->expires;
      } else {
        v.session_expires = s->expires;
        if (s->bind == bind) v.session = s->id;
      }
      if (s->blocked) v.reason = held_;
      v.poll_after = with_jitter(config_.polls.shortest, random_(), config_.polls);
      return v;
    }
    if (s != nullptr || lanes_[lane].line().waits(place)) {
      v.state = told_state();
      v.reason = v.state == seat_state::prequeued ? hold_reason::not_open : held_now();
      const std::uint64_t ahead = s != nullptr ? 0 : ahead_of(lane, place);
      if (v.state == seat_state::waiting) {
        v.position = ahead + 1;
        v.position_upper = s != nullptr ? 1 : place - lanes_[lane].line().head() + 1;
        if (v.reason != hold_reason::paused && v.reason != hold_reason::gate && v.reason != hold_reason::store) {
          v.eta = lanes_[lane].eta().estimate(ahead, now);
        }
      }
      v.poll_after = with_jitter(poll_after_for(lane, ahead, now), random_(), config_.polls);
      return v;
    }
    v.state = seat_state::expired;
    if (lanes_[lane].is_absent(place)) {
      v.state = seat_state::abandoned;
    } else if (const auto* ended = ended_.find(key)) {
      v.state = ended->state;
      v.moved_to = ended->moved_to;
    }
    return v;
  }
  /// Call where everybody is held up from now on, or nobody any more: such time says nothing about how fast the lines move.
  void watch_or_not(bool moves, time_point now) noexcept {
    moves_ = moves;
    for (auto& l : lanes_) watch_or_not(l, now);
  }
  /// Nor does time in which nobody waits. Call where the first has come, or the last has gone.
  void watch_or_not(room_lane& l, time_point now) noexcept {
    moves_&& l.waiting() != 0 ? l.eta().resume(now) : l.eta().pause(now);
  }

  /// More numbers, well before they run out. Precondition: prepare().
  void reserve_numbers(std::uint8_t lane, room_effects& fx) {
    room_lane& l = lanes_[lane];
    if (!log_.is_durable() || l.asked - l.line().tail() > numbers_at_once / 2) return;
    l.asked = l.line().tail() + numbers_at_once;
    l.told_tail = l.line().tail();
    l.asked_in = note({.what = room_record::kind::numbers, .lane = lane, .number = l.asked, .other = l.told_tail}, fx);
  }
  std::uint64_t note(const room_record& r, room_effects& fx) {
    fx.records |= log_.is_durable();
    return log_.add(r);
  }

  void changed(seat_key key, seat_state from, seat_state to, time_point now, duration waited = {}, bool first = false) {
    if (events_wanted_) [[unlikely]]
      keep_event(key, from, to, now, waited, first);
  }

  /// Out of the line, for good or for now. Precondition: waits; prepare().
  void leave_line(seat_key key, seat_state to, time_point now, room_effects& fx, bool known_absent = false) {
    room_lane& l = lanes_[lane_of(key)];
    const std::uint64_t place = detail::place_of(key);
    const duration waited = l.arrivals().waited(place, now);
    l.eta().left(1, l.waiting(), now);
    known_absent ? l.leave_absent(place) : l.leave(place);
    --waiting_;
    if (l.waiting() == 0) watch_or_not(l, now);
    second_.erase(key);
    totals_.waited[to == seat_state::abandoned ? 1 : 2].add(std::chrono::duration<double>(waited).count(),
                                                            room_wait_bounds);
    (void)note({.what = room_record::kind::gone, .lane = lane_of(key), .state = to, .number = place}, fx);
    changed(key, waiting_state(), to, now, waited);
  }
  [[nodiscard]] seat_state waiting_state() const noexcept {
    return mode_ == room_mode::prequeue ? seat_state::prequeued : seat_state::waiting;
  }
  /// What users are told of it. After a crash the opening may be another one until it is stored.
  [[nodiscard]] seat_state told_state() const noexcept {
    return log_.is_stored(opened_in_) ? waiting_state() : seat_state::prequeued;
  }

  room_config config_;
  room_mode mode_ = room_mode::open;
  hold_reason held_ = hold_reason::none;
  bool store_works_ = true;
  bool moves_ = true;
  std::vector<room_lane> lanes_;
  session_table sessions_;
  ended_seats ended_;
  flat_set<seat_key> second_;  // back at their old place after an offer
  subject_index subjects_;
  room_log log_;
  room_totals totals_;
  std::uint64_t waiting_ = 0;    // in all lanes
  std::uint64_t opened_in_ = 0;  // the record of the drawing
  random_stream random_;
  time_point began_;

 private:
  [[gnu::noinline]] void keep_event(seat_key key, seat_state from, seat_state to, time_point now, duration waited,
                                    bool first) {
    events_.push_back({++sequence_, seat_of(key), from, to, first, now, waited});
  }

  bool events_wanted_ = false;
  std::uint64_t sequence_ = 0;
  std::vector<seat_changed> events_;
};

}  // namespace detail
}  // namespace weir::inline v0
