#pragma once
/// \file
/// `room_core`: what users ask for. Part of room_core.hpp.

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>

namespace weir::inline v0 {

inline bool room_core::join(room_request& r, const room_join& who, time_point now, room_effects& fx) {
  using enum room_refusal;
  r.answer = {};
  if (who.lane >= lanes_.size()) return refuse_join(r, who.lane, unknown);
  if (mode_ == room_mode::closed || mode_ == room_mode::draining) return refuse_join(r, who.lane, closed);
  prepare();
  std::uint64_t subject_key = 0;
  if (who.subject != 0) {
    const auto found = subjects_.find(who.subject, config_.seats_per_subject, [&](seat_id s) { return lives(s); });
    if (found.key == 0) return join_again(r, who, *found.taken, now, fx);
    subject_key = found.key;
  }
  if (waiting_ >= config_.capacity) return refuse_join(r, who.lane, full, config_.polls.longest);
  detail::room_lane& l = lanes_[who.lane];
  if (l.line().tail() >= l.reserved) return refuse_join(r, who.lane, store, config_.polls.shortest);
  const seat_id seat{who.lane, l.line().tail()};
  if (subject_key != 0) subjects_.reserve_one([this](seat_id s) { return lives(s); });
  if (waiting_ == 0) charge(now);  // nobody was held up until now
  bool stands_for = false;
  (void)l.join(now, stands_for);
  ++waiting_;
  if (l.waiting() == 1) watch_or_not(l, now);
  ++totals_.joined;
  ++l.totals.joined;
  reserve_numbers(who.lane, fx);
  if (subject_key != 0) {
    subjects_.put(subject_key, who.subject, {seat, who.bind});
    (void)note({.what = room_record::kind::subject,
                .lane = who.lane,
                .number = seat.number,
                .other = who.subject,
                .bind = who.bind},
               fx);
  }
  const detail::seat_key key = key_of_seat(seat);
  changed(key, waiting_state(), waiting_state(), now, {}, true);
  if (stands_for) {
    if (const auto eta = l.eta().estimate(ahead_of(who.lane, seat.number), now)) {
      l.arrivals().promised(seat.number, eta->p50);
    }
  }
  r.answer.view.seat = seat;
  r.answer.view.state = told_state();
  if (mode_ == room_mode::prequeue) return true;
  if (l.waiting() == 1 || l.config().bypass || mode_ == room_mode::passthrough)
    return come_in_at_once(r, who, key, now, fx);
  return true;
}

inline bool room_core::come_in_at_once(room_request& r, const room_join& who, detail::seat_key key, time_point now,
                                       room_effects& fx) {
  go_on(now, fx);
  prepare();
  detail::room_session* s = sessions_.find(key);
  if (s == nullptr || !may_enter(key, now)) return true;
  enter(key, *s, who.bind, now, fx);
  answer_active(r.answer, key, *s);
  r.record = s->record;
  return !log_.wait(r);
}

inline bool room_core::join_again(room_request& r, const room_join& who, detail::subject_seat had, time_point now,
                                  room_effects& fx) {
  if (config_.duplicates == duplicate_seat::reject) return refuse_join(r, who.lane, room_refusal::duplicate);
  ++totals_.again;
  ++lanes_[who.lane].totals.again;
  if (config_.duplicates == duplicate_seat::move && had.bind != who.bind) {
    ++totals_.moved;
    subjects_.noted(who.subject, config_.seats_per_subject, had.seat)->bind = who.bind;
    (void)note({.what = room_record::kind::subject,
                .lane = had.seat.lane,
                .number = had.seat.number,
                .other = who.subject,
                .bind = who.bind},
               fx);
    const detail::seat_key key = key_of_seat(had.seat);
    if (detail::room_session* s = sessions_.find(key); s != nullptr && s->state == seat_state::active) s->bind = who.bind;
    tell_waiter(key, {.why = room_refusal::bound_elsewhere, .view = {.seat = had.seat}}, fx);
  }
  r.answer = look({had.seat, who.subject, who.bind}, now, fx);
  if (r.answer.why == room_refusal::early) {
    r.answer.why = room_refusal::none;
    r.answer.view = look_at({had.seat, who.subject, who.bind}, now);
  }
  r.answer.again = true;
  return true;
}

inline bool room_core::has_moved(const seat_holder& who) noexcept {
  if (config_.duplicates != duplicate_seat::move || who.subject == 0) return false;
  const auto* noted = subjects_.noted(who.subject, config_.seats_per_subject, who.seat);
  if (noted == nullptr || noted->bind == who.bind) return false;
  ++totals_.bound_elsewhere;
  return true;
}

inline room_answer room_core::look(const seat_holder& who, time_point now, room_effects& fx) {
  if (!is_known(who.seat)) return {.why = room_refusal::unknown};
  if (has_moved(who)) return {.why = room_refusal::bound_elsewhere};
  const detail::seat_key key = key_of_seat(who.seat);
  const std::uint64_t place = detail::place_of(key);
  detail::room_lane& l = lanes_[who.seat.lane];
  if (!l.line().waits(place)) {
    const room_answer answer = see_out_of_line(key, who.bind, now, fx);
    totals_.polls_over += answer.why == room_refusal::over ? 1 : 0;
    return answer;
  }
  if (const duration left = l.poll(place, now); left > duration::zero()) {
    ++totals_.early_polls;
    return {.why = room_refusal::early, .retry_after = left};
  }
  ++totals_.polls;
  l.beat(place);
  const room_answer answer{.view = describe(key, who.bind, now)};
  l.told(place, answer.view.poll_after, now);
  return answer;
}

inline room_answer room_core::watch(const seat_holder& who, time_point now, room_effects& fx) {
  if (!is_known(who.seat)) return {.why = room_refusal::unknown};
  if (has_moved(who)) return {.why = room_refusal::bound_elsewhere};
  const detail::seat_key key = key_of_seat(who.seat);
  const std::uint64_t place = detail::place_of(key);
  detail::room_lane& l = lanes_[who.seat.lane];
  if (!l.line().waits(place)) return see_out_of_line(key, who.bind, now, fx);
  l.beat(place);
  return {.view = describe(key, who.bind, now)};
}

inline room_answer room_core::see_out_of_line(detail::seat_key key, std::uint64_t bind, time_point now, room_effects& fx) {
  const std::uint64_t place = detail::place_of(key);
  detail::room_lane& l = lanes_[detail::lane_of(key)];
  if (l.is_absent(place)) {
    prepare();
    if (l.return_from_absence(place)) {
      charge(now);
      ++waiting_;
      if (l.waiting() == 1) watch_or_not(l, now);
      if (l.take_unknown(place)) {
        ++totals_.joined;
        ++l.totals.joined;
      } else {
        ++totals_.rejoined;
      }
      (void)note({.what = room_record::kind::back, .lane = detail::lane_of(key), .number = place}, fx);
      changed(key, seat_state::abandoned, waiting_state(), now);
      if (l.waiting() == 1) go_on(now, fx);
    }
    return {.view = describe(key, bind, now)};
  }
  if (const detail::room_session* s = sessions_.find(key); s != nullptr && s->expires <= now) {
    end_what_is_due(now, fx);
    go_on(now, fx);
  }
  room_answer answer{.view = describe(key, bind, now)};
  if (is_over(answer.view.state)) answer.why = room_refusal::over;
  return answer;
}

inline bool room_core::claim(room_request& r, const seat_holder& who, time_point now, room_effects& fx) {
  using enum room_refusal;
  r.answer = {};
  if (!is_known(who.seat)) return refuse(r, unknown);
  if (has_moved(who)) return refuse(r, bound_elsewhere);
  const detail::seat_key key = key_of_seat(who.seat);
  prepare();
  detail::room_session* s = sessions_.find(key);
  if (s != nullptr && s->expires <= now) {
    end_what_is_due(now, fx);
    go_on(now, fx);
    prepare();
    s = sessions_.find(key);
  }
  if (s == nullptr || (s->state == seat_state::offered && !log_.is_stored(s->record))) {
    detail::room_lane& l = lanes_[who.seat.lane];
    l.beat(detail::place_of(key));
    if (l.is_absent(detail::place_of(key))) (void)see_out_of_line(key, who.bind, now, fx);  // it is there again
    r.answer.view = describe(key, who.bind, now);
    return refuse(r, is_over(r.answer.view.state) ? over : not_yet, r.answer.view.poll_after);
  }
  if (s->state == seat_state::active) {
    if (s->bind != who.bind) {
      ++totals_.bound_elsewhere;
      return refuse(r, bound_elsewhere);
    }
  } else {
    if (!store_works_) {  // which is not its fault: it keeps its offer
      sessions_.expires(key, *s, std::max(s->expires, later(now, config_.claim_window)));
      return refuse(r, store, config_.polls.shortest);
    }
    if (!may_enter(key, now)) {
      ++totals_.claims_held;
      const duration in = hold(key, *s, now);
      r.answer.view = describe(key, who.bind, now);
      return refuse(r, not_yet, in);
    }
    enter(key, *s, who.bind, now, fx);
  }
  answer_active(r.answer, key, *s);
  r.record = s->record;
  return !log_.wait(r);
}

inline bool room_core::wait_turn(room_request& r, const seat_holder& who, time_point now, room_effects& fx) {
  r.answer = {};
  if (!is_known(who.seat)) return refuse(r, room_refusal::unknown);
  if (has_moved(who)) return refuse(r, room_refusal::bound_elsewhere);
  const detail::seat_key key = key_of_seat(who.seat);
  if (turn_waiters_.contains(key)) return refuse(r, room_refusal::duplicate);
  const detail::room_lane& l = lanes_[who.seat.lane];
  if (l.is_absent(detail::place_of(key))) (void)see_out_of_line(key, who.bind, now, fx);  // it is there again
  prepare();
  const detail::room_session* s = sessions_.find(key);
  const bool offered = s != nullptr && s->state == seat_state::offered;
  if (!offered && !l.line().waits(detail::place_of(key))) return claim(r, who, now, fx);
  if (offered && std::find(called_.begin(), called_.end(), key) == called_.end()) called_.push_back(key);
  turn_waiters_.emplace(key, turn_waiter{&r, who.bind});
  try {
    serve_called(now, fx);
  } catch (const std::bad_alloc&) {  // it waits, and the next pass serves it
  }
  return false;
}

inline bool room_core::withdraw(room_request& r, const seat_holder& who) noexcept {
  if (!is_known(who.seat)) return false;
  const auto found = turn_waiters_.find(key_of_seat(who.seat));
  if (found == turn_waiters_.end() || found->second.request != &r) return false;
  turn_waiters_.erase(found);
  return true;
}

inline room_answer room_core::leave(const seat_holder& who, time_point now, room_effects& fx) {
  if (!is_known(who.seat)) return {.why = room_refusal::unknown};
  if (has_moved(who)) return {.why = room_refusal::bound_elsewhere};
  const detail::seat_key key = key_of_seat(who.seat);
  const std::uint64_t place = detail::place_of(key);
  detail::room_lane& l = lanes_[who.seat.lane];
  prepare();
  if (l.line().waits(place)) {
    charge(now);
    ended_.add(key, {.state = seat_state::left});
    leave_line(key, seat_state::left, now, fx);
    ++totals_.left;
    tell_waiter(key, seat_state::left, fx);
  } else if (l.is_absent(place)) {  // counts as abandoned, and stays so
    ended_.add(key, {.state = seat_state::left});
    (void)l.leave(place);
    (void)note({.what = room_record::kind::gone, .lane = who.seat.lane, .state = seat_state::left, .number = place}, fx);
  } else if (const detail::room_session* s = sessions_.find(key)) {
    if (s->state == seat_state::active && s->bind != who.bind) {
      ++totals_.bound_elsewhere;
      return {.why = room_refusal::bound_elsewhere};
    }
    (void)end(key, seat_state::left, now, fx);
    go_on(now, fx);
  }
  return {.view = describe(key, who.bind, now)};
}

inline room_answer room_core::renew(const seat_holder& who, std::uint64_t session, time_point now, room_effects& fx) {
  if (!is_known(who.seat)) return {.why = room_refusal::unknown};
  const detail::seat_key key = key_of_seat(who.seat);
  prepare();
  end_what_is_due(now, fx);
  detail::room_session* s = sessions_.find(key);
  if (s == nullptr || s->state != seat_state::active || s->id != session) {
    room_answer answer{.why = room_refusal::over, .view = describe(key, who.bind, now)};
    go_on(now, fx);
    return answer;
  }
  if (s->bind != who.bind) {
    ++totals_.bound_elsewhere;
    return {.why = room_refusal::bound_elsewhere};
  }
  if (config_.renewal == session_renewal::sliding) {
    const time_point ends = std::min(later(now, config_.session_ttl), later(s->since, config_.session_max));
    s->ends = std::max(s->ends, ends);
    (void)note(
        {.what = room_record::kind::renewed, .lane = who.seat.lane, .number = detail::place_of(key), .until = s->ends}, fx);
  }
  sessions_.expires(key, *s, std::max(s->expires, std::min(s->ends, later(now, config_.session_idle))));
  room_answer answer;
  answer_active(answer, key, *s);
  return answer;
}

inline room_answer room_core::complete(const seat_holder& who, std::uint64_t session, time_point now, room_effects& fx) {
  if (!is_known(who.seat)) return {.why = room_refusal::unknown};
  const detail::seat_key key = key_of_seat(who.seat);
  end_what_is_due(now, fx);  // whose time is over has not completed it
  prepare();
  const detail::room_session* s = sessions_.find(key);
  if (s != nullptr && s->state == seat_state::active && s->id == session) {
    if (s->bind != who.bind) {
      ++totals_.bound_elsewhere;
      return {.why = room_refusal::bound_elsewhere};
    }
    (void)end(key, seat_state::completed, now, fx);
  }
  go_on(now, fx);
  room_answer answer{.view = describe(key, who.bind, now)};
  const auto* ended = ended_.find(key);
  const bool done = ended != nullptr && ended->state == seat_state::completed && ended->session == session;
  if (!done) answer.why = room_refusal::over;
  return answer;
}

}  // namespace weir::inline v0
