#pragma once
/// \file
/// Who is let into a room next, and when: limits, lanes, offers, entries.

#include <weir/room/admission_pace.hpp>
#include <weir/room/detail/room_books.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

namespace weir::inline v0::detail {

class room_admission : public room_books {
 public:
  /// The share of offers that lapse, as it was lately.
  [[nodiscard]] double noshow() const noexcept { return noshow_; }
  [[nodiscard]] double gate() const noexcept { return gate_; }
  [[nodiscard]] const admission_pace& pace() const noexcept { return pace_; }

 protected:
  static constexpr std::uint64_t most_at_once = 10'000;  // offers in one step

  room_admission(const room_config& config, bool durable, time_point now)
      : room_books(config, durable, now), pace_(config.admit, config.pace, now), charged_(now) {}
  ~room_admission() = default;

  /// Time that passed while somebody waited goes to what held them up.
  void charge(time_point now) noexcept {
    if (now <= charged_) return;
    if (waiting_ != 0) totals_.held[static_cast<std::size_t>(held_now())] += elapsed(charged_, now);
    charged_ = now;
  }

  [[nodiscard]] bool lets_in() const noexcept {
    // held_now() says why.
    return store_works_ && (mode_ == room_mode::open || mode_ == room_mode::draining || mode_ == room_mode::passthrough);
  }
  /// Call after what may change lets_in() or the gate.
  void see_if_it_moves(time_point now) noexcept { watch_or_not(lets_in() && gate_ > 0, now); }

  /// Offers as many turns as there may be. Call whenever one may have become possible. Errors: std::bad_alloc; what was
  /// decided until then stands.
  void admit(time_point now, room_effects& fx) {
    charge(now);
    let_go_of_late(now);
    held_ = hold_reason::none;
    more_ = false;
    if (waiting_ == 0 || !lets_in()) return;
    budget b = budget_at(now);
    for (std::uint64_t made = 0; waiting_ != 0; ++made) {
      if (made == most_at_once) {
        more_ = true;
        return;
      }
      if (b.places < 1 - 1e-9) {
        held_ = gate_ < 1 && free_places(1) >= 1 ? hold_reason::gate : hold_reason::active;
        return;
      }
      const std::optional<std::uint8_t> lane = choose(b);
      if (!lane) {
        held_ = why_no_lane(b);
        return;
      }
      prepare();
      const bool by_pace = !lanes_[*lane].config().bypass;
      offer(*lane, way_of(by_pace), now, fx);
      b.places -= b.expected;
      if (by_pace || config_.pace == room_pace::strict) b.by_pace = std::max(0.0, b.by_pace - 1);
      if (by_pace && advance_ != 0) {
        --advance_;
      } else {
        pace_.offered(b.expected);
      }
      if (b.by_pace < 1 && b.expected < 1 && config_.pace == room_pace::strict) b.by_pace = offers_at(now);
    }
  }

  /// Whether one who has been asked in may come in now. `key`: a claimer that has waited for it comes before a new one.
  [[nodiscard]] bool may_enter(seat_key key, time_point now) {
    if (mode_ == room_mode::passthrough) return true;
    std::uint64_t room = std::numeric_limits<std::uint64_t>::max();
    if (config_.max_active != 0) room = config_.max_active - std::min(config_.max_active, sessions_.active());
    room = std::min(room, pace_.entries_left(now));
    let_go_of_late(now, key);
    return room > before_in_claims(key);
  }
  /// Its offer stays until it has had the chance to come back, and its turn among those who must. When that is, as far as
  /// it is known. Precondition: prepare().
  duration hold(seat_key key, room_session& s, time_point now) {
    const std::uint64_t before = before_in_claims(key);
    const time_point room = pace_.next_entry(before + 1, now);
    const duration in = room > now ? elapsed(now, room) : config_.polls.shortest;
    // It may come a little later than it was told.
    const time_point until = later(now, in + std::max<duration>(in, 2 * config_.polls.shortest));
    if (!s.blocked) blocked_.emplace_back();
    blocked_[before] = {key, until};
    s.blocked = true;
    held_ = config_.max_active != 0 && sessions_.active() >= config_.max_active ? hold_reason::active : hold_reason::rate;
    sessions_.expires(key, s, std::max(s.expires, later(later(now, in), config_.claim_window)));
    return in;
  }

  /// Precondition: offered, may_enter, prepare().
  void enter(seat_key key, room_session& s, std::uint64_t bind, time_point now, room_effects& fx) {
    unblock(key, s);
    const duration took = std::max(elapsed(s.since, now), duration::zero());
    saw_offer_end(false);
    pace_.entered(now);
    sessions_.activate(s);
    do {
      s.id = random_();
    } while (s.id == 0);
    s.bind = bind;
    s.since = now;
    s.ends = later(now, config_.session_ttl);
    sessions_.expires(key, s, std::min(s.ends, later(now, config_.session_idle)));
    ++totals_.entered;
    ++lanes_[lane_of(key)].totals.entered[static_cast<std::size_t>(s.way)];
    totals_.claimed_after.add(std::chrono::duration<double>(took).count(), room_wait_bounds);
    s.record = note({.what = room_record::kind::entered,
                     .lane = lane_of(key),
                     .state = seat_state::active,
                     .number = detail::place_of(key),
                     .other = s.id,
                     .bind = bind,
                     .at = now,
                     .until = s.ends},
                    fx);
    changed(key, seat_state::offered, seat_state::active, now);
  }

  /// An offer or a session ends. Precondition: there is one; prepare().
  std::uint64_t end(seat_key key, seat_state how, time_point now, room_effects& fx,
                    std::optional<seat_id> moved_to = std::nullopt) {
    room_session& s = *sessions_.find(key);
    ended_.add(key, {how, moved_to, s.bind, s.id});
    unblock(key, s);
    const seat_state from = s.state;
    if (from == seat_state::active) {
      const std::size_t which = how == seat_state::completed ? 0 : how == seat_state::expired ? 1 : 2;
      totals_.inside[which].add(std::chrono::duration<double>(elapsed(s.since, now)).count(), room_wait_bounds);
    }
    const std::uint64_t record = note({.what = room_record::kind::ended,
                                       .lane = lane_of(key),
                                       .state = how,
                                       .number = detail::place_of(key),
                                       .other = moved_to ? moved_to->number + 1 : 0},
                                      fx);
    sessions_.erase(key);
    second_.erase(key);
    --lanes_[lane_of(key)].inside;
    count_end(how);
    changed(key, from, how, now);
    tell_waiter(key, how, fx);
    return record;
  }
  /// Its seat has ended.
  void tell_waiter(seat_key key, seat_state how, room_effects& fx) {
    tell_waiter(key, {.why = room_refusal::over, .view = {.seat = seat_of(key), .state = how}}, fx);
  }
  void tell_waiter(seat_key key, const room_answer& answer, room_effects& fx) {
    const auto waiter = turn_waiters_.find(key);
    if (waiter == turn_waiters_.end()) return;
    room_request& r = *waiter->second.request;
    turn_waiters_.erase(waiter);
    r.answer = answer;
    fx.ready.push_back(r);
  }
  void count_end(seat_state how) noexcept {
    switch (how) {
      case seat_state::completed: ++totals_.completed; break;
      case seat_state::left: ++totals_.left; break;
      case seat_state::abandoned: ++totals_.abandoned; break;
      case seat_state::lapsed: ++totals_.lapsed; break;
      case seat_state::expired: ++totals_.expired; break;
      case seat_state::revoked: ++totals_.revoked; break;
      default: break;
    }
  }

  /// Nobody has claimed it in time. Precondition: offered; prepare().
  void lapse(seat_key key, time_point now, room_effects& fx) {
    saw_offer_end(true);
    room_lane& l = lanes_[lane_of(key)];
    const std::uint64_t place = detail::place_of(key);
    const room_session& s = *sessions_.find(key);
    if (config_.lapsed == after_lapse::requeue_front && !s.second && second_.insert(key).second && l.come_back(place)) {
      room_session was = s;
      unblock(key, was);
      sessions_.erase(key);
      --l.inside;
      ++waiting_;
      if (l.waiting() == 1) watch_or_not(l, now);
      ++totals_.requeued;
      l.beat(place);
      (void)note({.what = room_record::kind::back, .lane = lane_of(key), .number = place}, fx);
      changed(key, seat_state::offered, seat_state::waiting, now);
    } else if (config_.lapsed == after_lapse::requeue_back && l.line().tail() < l.reserved) {
      bool stands_for = false;
      const std::uint64_t owner = subjects_.owner_of(seat_of(key));
      if (owner != 0) subjects_.reserve_one([this](seat_id each) { return lives(each); });
      const seat_id next{lane_of(key), l.join(now, stands_for)};
      ++waiting_;
      if (l.waiting() == 1) watch_or_not(l, now);
      ++totals_.joined;
      ++l.totals.joined;
      reserve_numbers(next.lane, fx);
      if (owner != 0) move_subject(owner, seat_of(key), next, fx);
      (void)end(key, seat_state::lapsed, now, fx, next);
      changed(key_of_seat(next), seat_state::waiting, seat_state::waiting, now, {}, true);
    } else {
      (void)end(key, seat_state::lapsed, now, fx);
    }
  }

  /// Its seat has another number. Precondition: subject_index::reserve_one, prepare().
  void move_subject(std::uint64_t subject, seat_id from, seat_id to, room_effects& fx) {
    subject_seat* s = subjects_.noted(subject, config_.seats_per_subject, from);
    if (s == nullptr) return;
    s->seat = to;
    subjects_.own(to, subject);
    (void)note(
        {.what = room_record::kind::subject, .lane = to.lane, .number = to.number, .other = subject, .bind = s->bind}, fx);
  }

  /// Who waits for a turn in process: is completed when it has entered, or its seat has ended. It needs no offer to claim.
  struct turn_waiter {
    room_request* request;
    std::uint64_t bind;
  };
  flat_map<seat_key, turn_waiter> turn_waiters_;

  /// The same, where everybody has another place. Errors: std::bad_alloc.
  template <class F>
  [[nodiscard]] flat_map<seat_key, turn_waiter> moved_turn_waiters(F&& to) const {
    flat_map<seat_key, turn_waiter> moved;
    moved.reserve(turn_waiters_.size());
    for (const auto& [key, waiter] : turn_waiters_) moved.emplace(to(key), waiter);
    return moved;
  }

  /// Those in process who have been called come in, as far as limits on entries allow. Call after admit(). Errors:
  /// std::bad_alloc; who has not come in is still called.
  void serve_called(time_point now, room_effects& fx) {
    for (std::size_t i = 0; i < called_.size();) {
      prepare();
      const seat_key key = called_[i];
      const auto waiter = turn_waiters_.find(key);
      room_session* s = sessions_.find(key);
      const bool wants = waiter != turn_waiters_.end() && s != nullptr && s->state == seat_state::offered;
      if (wants && !may_enter(key, now)) {
        hold(key, *s, now);
        ++i;
        continue;
      }
      called_.erase(called_.begin() + static_cast<std::ptrdiff_t>(i));
      if (!wants) continue;
      room_request& r = *waiter->second.request;
      enter(key, *s, waiter->second.bind, now, fx);
      turn_waiters_.erase(waiter);
      has_entered(r, key, *s, fx);
    }
  }
  /// `r` is completed now, or when that is stored.
  void has_entered(room_request& r, seat_key key, const room_session& s, room_effects& fx) {
    r.answer = {};
    answer_active(r.answer, key, s);
    r.record = s.record;
    if (!log_.wait(r)) fx.ready.push_back(r);
  }
  void answer_active(room_answer& answer, seat_key key, const room_session& s) {
    answer.view = {.seat = seat_of(key),
                   .state = seat_state::active,
                   .total_waiting = waiting_,
                   .session_expires = s.expires,
                   .session = s.id};
  }

  void forget_noshow_beyond(double most) noexcept { noshow_ = std::min(noshow_, most); }

  double gate_ = 1;
  std::uint64_t advance_ = 0;
  bool more_ = false;  // the last step was cut short
  admission_pace pace_;

  /// Has claimed, and must come back.
  struct put_off {
    seat_key key;
    time_point until;  // others wait for it no longer
  };
  std::deque<put_off> blocked_;  // in the order of their claims

 private:
  static constexpr double everything = std::numeric_limits<double>::infinity();
  struct budget {
    double places;    // inside
    double by_pace;   // offers
    double expected;  // entries from one offer
  };

  [[nodiscard]] double free_places(double part) const noexcept {
    if (config_.max_active == 0) return part > 0 ? everything : 0;
    const double most = part > 0 ? std::max(1.0, std::floor(part * config_.max_active)) : 0;
    return most - sessions_.active() - sessions_.offered() * (1 - noshow_);
  }
  [[nodiscard]] budget budget_at(time_point now) {
    if (mode_ == room_mode::passthrough) return {everything, everything, 1};
    return {free_places(gate_), offers_at(now), 1 - noshow_};
  }
  [[nodiscard]] double offers_at(time_point now) noexcept {
    // Twice, so that those at the door become fewer: with as many offers as entries they would stay as many.
    const std::uint64_t n = config_.manual ? 0 : pace_.offers(2 * blocked_.size(), now);
    return n == admission_pace::unlimited ? everything : static_cast<double>(std::max(n, advance_));
  }
  [[nodiscard]] bool has_room(const room_lane& l) const noexcept {
    return l.waiting() != 0 && (l.config().cap == 0 || l.inside < l.config().cap);
  }
  /// Whose turn it is; nothing: nobody's.
  [[nodiscard]] std::optional<std::uint8_t> choose(const budget& b) noexcept {
    const bool paced = b.by_pace >= 1 - 1e-9;
    if (lanes_.size() == 1) {
      const room_lane& only = lanes_.front();
      const bool free = paced || (only.config().bypass && config_.pace != room_pace::strict);
      return free && has_room(only) ? std::optional<std::uint8_t>{0} : std::nullopt;
    }
    for (std::uint8_t i = 0; i < lanes(); ++i) {
      if (!lanes_[i].config().bypass || !has_room(lanes_[i])) continue;
      if (paced || config_.pace != room_pace::strict) return i;
    }
    return paced ? choose_among_rivals() : std::nullopt;
  }
  /// Shares are paid out in credits: each admission gives to every lane that waits its share of one, and the lane that is
  /// served pays one.
  [[nodiscard]] std::optional<std::uint8_t> choose_among_rivals() noexcept {
    const bool weighted = config_.order == lane_order::weighted;
    double all = 0;
    for (const auto& l : lanes_) {
      if (!l.config().bypass && has_room(l)) all += weighted ? l.config().weight : 1;
    }
    if (all == 0) return std::nullopt;
    std::optional<std::uint8_t> best, first;
    for (std::uint8_t i = 0; i < lanes(); ++i) {
      room_lane& l = lanes_[i];
      if (l.config().bypass || !has_room(l)) continue;
      if (!first) first = i;
      l.credit += weighted ? l.config().weight / all : l.config().min_share;
      if (!weighted && l.credit < 1) continue;
      if (!best || l.credit > lanes_[*best].credit) best = i;
    }
    if (!best) return first;
    lanes_[*best].credit -= 1;
    return best;
  }
  [[nodiscard]] hold_reason why_no_lane(const budget& b) const noexcept {
    if (b.by_pace >= 1 - 1e-9) return hold_reason::active;  // the caps of lanes
    if (gate_ == 0) return hold_reason::gate;
    return config_.manual ? hold_reason::paused : hold_reason::rate;
  }

  [[nodiscard]] entry_way way_of(bool by_pace) const noexcept {
    if (mode_ == room_mode::passthrough) return entry_way::passthrough;
    if (!by_pace) return entry_way::bypass;
    if (advance_ != 0) return entry_way::manual;
    return config_.admit ? entry_way::rate : entry_way::concurrency;
  }
  /// Precondition: somebody waits in it; prepare().
  void offer(std::uint8_t lane, entry_way way, time_point now, room_effects& fx) {
    room_lane& l = lanes_[lane];
    const std::uint64_t place = l.line().head();  // who waits
    const seat_key key = key_of(lane, place);
    if (turn_waiters_.contains(key)) called_.push_back(key);  // what may throw comes first
    room_session s{.way = way, .since = now, .expires = later(now, config_.claim_window)};
    s.second = second_.contains(key);
    s.record = note({.what = room_record::kind::offered,
                     .lane = lane,
                     .state = seat_state::offered,
                     .number = place,
                     .at = now,
                     .until = s.expires},
                    fx);
    sessions_.insert(key, s);
    const duration waited = l.arrivals().waited(place, now);
    const duration promised = l.arrivals().promise(place);
    if (l.leave(place)) --waiting_;
    l.eta().admitted(1, now);
    if (l.waiting() == 0) watch_or_not(l, now);
    ++l.inside;
    ++totals_.offered;
    if (l.line().head() < place) ++totals_.jumped;
    totals_.waited[0].add(std::chrono::duration<double>(waited).count(), room_wait_bounds);
    if (promised > duration::zero()) {
      totals_.eta_error.add(static_cast<double>(waited.count()) / static_cast<double>(promised.count()), eta_error_bounds);
    }
    changed(key, seat_state::waiting, seat_state::offered, now, waited);
  }

  void unblock(seat_key key, room_session& s) noexcept {
    if (!s.blocked) return;
    s.blocked = false;
    std::erase_if(blocked_, [key](const put_off& each) { return each.key == key; });
  }
  [[nodiscard]] std::uint64_t before_in_claims(seat_key key) const noexcept {
    const auto mine =
        std::find_if(blocked_.begin(), blocked_.end(), [key](const put_off& each) { return each.key == key; });
    return static_cast<std::uint64_t>(mine - blocked_.begin());
  }
  /// Who has not come back holds nobody up any more; its offer stays. But for `here`.
  void let_go_of_late(time_point now, std::optional<seat_key> here = std::nullopt) noexcept {
    std::erase_if(blocked_, [&](const put_off& each) {
      if (each.until > now || each.key == here) return false;
      if (room_session* s = sessions_.find(each.key)) s->blocked = false;
      return true;
    });
  }
  void saw_offer_end(bool lapsed) noexcept {
    constexpr double weight = 0.05;
    noshow_ = std::min(noshow_ + weight * ((lapsed ? 1 : 0) - noshow_), config_.overbook_at_most);
  }

  double noshow_ = 0;
  time_point charged_;

 protected:
  std::deque<seat_key> called_;  // offered, and waited for in process
};

}  // namespace weir::inline v0::detail
