#pragma once
/// \file
/// `room_core`: what its operator, time and its store bring about. Part of room_core.hpp.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

namespace weir::inline v0 {

inline std::uint64_t room_core::take_out(detail::seat_key key, time_point now, room_effects& fx) {
  const std::uint8_t lane = detail::lane_of(key);
  const std::uint64_t place = detail::place_of(key);
  prepare();
  if (sessions_.find(key) != nullptr) return end(key, seat_state::revoked, now, fx);
  if (lanes_[lane].line().waits(place)) {
    charge(now);
    ended_.add(key, {.state = seat_state::revoked});
    leave_line(key, seat_state::revoked, now, fx);
    ++totals_.revoked;
    tell_waiter(key, seat_state::revoked, fx);
  } else if (lanes_[lane].is_absent(place)) {  // counts as abandoned, and stays so
    ended_.add(key, {.state = seat_state::revoked});
    (void)lanes_[lane].leave(place);
    (void)note({.what = room_record::kind::gone, .lane = lane, .state = seat_state::revoked, .number = place}, fx);
  }
  return log_.last();
}

inline bool room_core::revoke(room_request& r, seat_id seat, time_point now, room_effects& fx) {
  r.answer = {};
  if (!is_known(seat)) return refuse(r, room_refusal::unknown);
  const detail::seat_key key = key_of_seat(seat);
  r.record = take_out(key, now, fx);
  r.answer.view = describe(key, 0, now);
  if (r.answer.view.state != seat_state::revoked) r.answer.why = room_refusal::over;
  go_on(now, fx);
  return !log_.wait(r);
}

inline bool room_core::revoke_subject(room_request& r, std::uint64_t subject, time_point now, room_effects& fx) {
  r.answer = {};
  const auto next = [&] {
    return subjects_.find(subject, config_.seats_per_subject, [&](seat_id s) { return lives(s); }).taken;
  };
  auto found = subject == 0 ? std::nullopt : next();
  if (!found) return refuse(r, room_refusal::unknown);
  for (; found; found = next()) {
    const detail::seat_key key = key_of_seat(found->seat);
    r.record = take_out(key, now, fx);
    r.answer.view = describe(key, 0, now);
  }
  go_on(now, fx);
  return !log_.wait(r);
}

inline bool room_core::set_mode(room_mode mode, time_point now, room_effects& fx) {
  if (mode == mode_) return true;
  if (mode == room_mode::prequeue) return false;
  charge(now);
  prepare();
  if (mode_ == room_mode::prequeue) open(now, fx);
  mode_ = mode;
  see_if_it_moves(now);
  (void)note({.what = room_record::kind::mode, .other = static_cast<std::uint64_t>(mode)}, fx);
  go_on(now, fx);
  return true;
}

inline void room_core::open(time_point now, room_effects& fx) {
  for (std::uint8_t i = 0; seed_ && i < lanes(); ++i) {
    const std::uint64_t n = lanes_[i].line().tail();
    if (n == 0 || lanes_[i].is_drawn()) continue;  // drawn: there was no memory for the next one
    prepare();
    const lottery drawn{*seed_, n};
    const auto place_of = [&](detail::seat_key key) {
      return detail::lane_of(key) == i ? detail::key_of(i, drawn.rank_of(detail::place_of(key))) : key;
    };
    detail::ended_seats ended = ended_.moved(place_of);
    auto waiters = moved_turn_waiters(place_of);
    lanes_[i].draw(drawn, now);
    ended_ = std::move(ended);
    turn_waiters_ = std::move(waiters);
    opened_in_ = note({.what = room_record::kind::opened, .lane = i, .number = n}, fx);
  }
  mode_ = room_mode::open;
}

inline void room_core::advance(std::uint64_t n, time_point now, room_effects& fx) {
  advance_ = n < waiting_ - std::min(advance_, waiting_) ? advance_ + n : waiting_;
  go_on(now, fx);
}

inline void room_core::set_gate(double part, time_point now, room_effects& fx) {
  part = part > 0 ? std::min(part, 1.0) : 0;
  if (part == gate_) return;
  charge(now);
  gate_ = part;
  pace_.set_gate(part, now);
  see_if_it_moves(now);
  go_on(now, fx);
}

inline std::optional<config_error> room_core::reconfigure(const room_config& config, time_point now, room_effects& fx) {
  if (auto wrong = validate(config)) return wrong;
  if (auto wrong = detail::validate_change(config_, config)) return wrong;
  room_config next = config;
  prepare();
  charge(now);
  pace_.reconfigure(next.admit, next.pace, now);
  std::swap(config_, next);  // nothing throws from here on, but letting people in
  for (std::uint8_t i = 0; i < lanes(); ++i) {
    lanes_[i].reconfigure(config_.lanes[i]);
    const eta_config eta = eta_of(config_, config_.lanes[i]), before = eta_of(next, next.lanes[i]);
    if (eta.prior_per_s != before.prior_per_s || eta.bin != before.bin || eta.tau != before.tau) {
      lanes_[i].estimate_by(eta);
    }
  }
  forget_noshow_beyond(config_.overbook_at_most);
  if (config_.admit && config_.admit != next.admit) {
    (void)note({.what = room_record::kind::limit,
                .number = config_.admit->permits,
                .other = static_cast<std::uint64_t>(config_.admit->per.count())},
               fx);
  }
  see_if_it_moves(now);
  go_on(now, fx);
  return std::nullopt;
}

inline void room_core::end_what_is_due(time_point now, room_effects& fx) {
  for (;;) {
    prepare();
    const auto key = sessions_.due(now);
    if (!key) return;
    if (sessions_.find(*key)->state == seat_state::offered) {
      lapse(*key, now, fx);
    } else {
      (void)end(*key, seat_state::expired, now, fx);
    }
  }
}

inline void room_core::turn_blocks(time_point now, room_effects& fx) {
  for (std::uint8_t i = 0; i < lanes(); ++i) {
    detail::room_lane& l = lanes_[i];
    l.turn(
        now, config_.presence_least, [&](std::uint64_t ahead) { return poll_after_for(i, ahead, now); },
        [&](std::uint64_t place) {
          const detail::seat_key key = detail::key_of(i, place);
          if (turn_waiters_.contains(key)) return l.is_there(place);
          prepare();
          ++totals_.abandoned;
          leave_line(key, seat_state::abandoned, now, fx, true);
        });
  }
}

inline void room_core::pass(time_point now, room_effects& fx) {
  charge(now);
  if (mode_ == room_mode::prequeue && config_.opens_at && *config_.opens_at <= now) {
    (void)set_mode(room_mode::open, now, fx);
  }
  end_what_is_due(now, fx);
  for (auto& l : lanes_) l.eta().see(now);
  if (now >= next_turns_) {
    next_turns_ = later(now, std::chrono::seconds{1});
    if (mode_ != room_mode::prequeue) turn_blocks(now, fx);
  }
  go_on(now, fx);
  if (now < next_forget_) return;
  next_forget_ = later(now, std::chrono::seconds{10});
  for (std::uint8_t i = 0; i < lanes(); ++i) {
    std::uint64_t keep = lanes_[i].line().head();
    if (config_.lapsed == after_lapse::requeue_front) {
      for (const auto& [key, s] : sessions_) {
        if (detail::lane_of(key) == i) keep = std::min(keep, detail::place_of(key));
      }
    }
    lanes_[i].forget_before(keep);
  }
}

inline time_point room_core::next_event(time_point now) const noexcept {
  if (more_) return now;
  time_point next = sessions_.next_due();
  if (mode_ == room_mode::prequeue && config_.opens_at) next = std::min(next, *config_.opens_at);
  if (waiting_ != 0) {
    next = std::min(next, std::max(next_turns_, now));
    if (held_ == hold_reason::rate && !config_.manual) next = std::min(next, std::max(pace_.next_offer(), now));
  }
  for (const auto& each : blocked_) next = std::min(next, std::max(each.until, now));
  // What else holds up those who have been called ends with somebody's leave, or an offer's or a session's time.
  if (const time_point entry = pace_.next_entry(1, now); !called_.empty() && entry > now) next = std::min(next, entry);
  return next;
}

inline void room_core::stored(std::uint64_t upto, time_point now, room_effects& fx) {
  log_.stored(upto, fx.ready);
  for (auto& l : lanes_) {
    if (log_.is_durable() && log_.is_stored(l.asked_in)) l.reserved = l.asked;
  }
  if (!store_works_) store_works(now, fx);
}

inline void room_core::store_fails(time_point now, room_effects& fx) {
  charge(now);
  store_works_ = false;
  see_if_it_moves(now);
  log_.give_up(fx.ready);
}

inline void room_core::store_works(time_point now, room_effects& fx) {
  charge(now);
  store_works_ = true;
  see_if_it_moves(now);
  go_on(now, fx);
}

inline void room_core::begin(const room_image& image, time_point now, room_effects& fx) {
  prepare();
  if (image.epoch != 0) restore(image, now);
  for (std::uint8_t i = 0; i < lanes(); ++i) {
    prepare();
    reserve_numbers(i, fx);
  }
}

inline void room_core::restore(const room_image& image, time_point now) {
  mode_ = image.mode;
  for (std::uint8_t i = 0; i < lanes() && i < image.lanes.size(); ++i) {
    const room_image::lane& was = image.lanes[i];
    detail::room_lane& l = lanes_[i];
    l = detail::room_lane{config_.lanes[i], eta_of(config_, config_.lanes[i]), config_.presence, now, was.head};
    l.reserved = 0;
    const std::uint64_t tail = std::max(was.tail, was.drawn);
    l.restore(tail, std::max(tail, was.reserved), now);
    for (const auto& [first, gone] : was.gone) {
      for (std::size_t w = 0; w < gone.size(); ++w) {
        for (std::uint64_t bits = gone[w]; bits != 0; bits &= bits - 1) {
          (void)l.leave(first + w * 64 + static_cast<std::uint64_t>(std::countr_zero(bits)));
        }
      }
    }
    for (const room_image::block& block : was.unknown) l.restore_unknown(block);
    l.restore_drawn(image.seed, was.drawn);
    l.told_tail = l.asked = l.line().tail();
    waiting_ += l.waiting();
  }
  for (const auto& was : image.sessions) {
    if (was.lane >= lanes_.size()) continue;
    sessions_.reserve_one();
    restore_session(was, now);
  }
  for (const auto& was : image.endings) {
    if (was.state != seat_state::abandoned) {
      ended_.add(detail::key_of(was.lane, was.place), {.state = was.state, .moved_to = was.moved_to});
    } else if (was.lane < lanes_.size()) {
      lanes_[was.lane].restore_absent(was.place);
      ++totals_.abandoned;
    }
  }
  for (const auto& was : image.subjects) {
    const auto found = subjects_.find(was.subject, config_.seats_per_subject, [&](seat_id s) { return lives(s); });
    if (found.key == 0) continue;
    subjects_.reserve_one([this](seat_id s) { return lives(s); });
    subjects_.put(found.key, was.subject, {was.seat, was.bind});
    if (config_.duplicates != duplicate_seat::move || !is_known(was.seat)) continue;
    detail::room_session* s = sessions_.find(key_of_seat(was.seat));
    if (s != nullptr && s->state == seat_state::active) s->bind = was.bind;  // it may have moved while it was inside
  }
  pace_.restore(image.entries, sessions_.offered(), now);
  see_if_it_moves(now);
  totals_.joined = waiting_ + sessions_.offered() + sessions_.active() + totals_.abandoned;
}

inline void room_core::restore_session(const room_image::session& was, time_point now) {
  // Nobody could claim while there was nobody to ask.
  const bool offered = was.state == seat_state::offered;
  const time_point until = offered ? std::max(was.until, later(now, config_.claim_window)) : was.until;
  sessions_.insert(detail::key_of(was.lane, was.place), {.state = was.state,
                                                         .id = was.id,
                                                         .bind = was.bind,
                                                         .since = was.since,
                                                         .expires = until,
                                                         .ends = offered ? never : until});
  ++lanes_[was.lane].inside;
}

}  // namespace weir::inline v0
