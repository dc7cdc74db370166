#pragma once
/// \file
/// The waiting room without clock, lock, store or network: requests and time go in, answers and effects come out.
///
/// ```cpp
/// weir::room_core room{weir::bank_teller(100), false, now};
/// weir::room_effects fx;
/// weir::room_request r;
/// if (room.join(r, {}, now, fx)) use(r.answer);   // else r is completed later, by whoever works through fx
/// ```
/// What has to be written down before anybody may be told of it, is: entries, offers, revocations. Such a request waits
/// until `stored`. Joins do not: their numbers were reserved beforehand, and their order is in their tokens.
///
/// Not thread-safe: its shell holds the lock. An older `now` is harmless. Memory: five bits for each who waits, and what
/// max_active and the rate of ending bound. What throws std::bad_alloc has changed nothing, but `pass` and whoever lets
/// others in: what they decided until then stands. Where a hash table cannot grow, the process ends.
///
/// Invariants, asserted by tests after every step: nobody is offered a turn before who came earlier into its lane; active
/// <= max_active; with room_pace::strict no (t, t + per] holds more entries than permits; joined = all outcomes and states
/// together; each request that waits is completed exactly once.

#include <weir/room/detail/room_admission.hpp>
#include <weir/room/room_image.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace weir::inline v0 {

/// Who wants to join.
struct room_join {
  std::uint8_t lane = 0;
  std::uint64_t subject = 0;  ///< hash of who it is; 0: nobody asks
  std::uint64_t bind = 0;     ///< hash of a secret of its device; 0: none
};

class room_core : public detail::room_admission {
 public:
  /// `durable`: there is a store. Then call `begin`. Errors: std::invalid_argument, std::bad_alloc.
  room_core(const room_config& config, bool durable, time_point now) : room_admission(config, durable, now) {
    see_if_it_moves(now);
  }

  /// Restores what the store knows, and asks it for numbers. Call once, first. Complexity: O(places in line).
  void begin(const room_image& image, time_point now, room_effects& fx);
  /// What the opening draws with. Without: in order of arrival.
  void draw_with(const lottery_seed& seed) noexcept { seed_ = seed; }

  // Requests of users. true: `r.answer` is there. false: `r` will be completed, exactly once.

  /// `view` has no position yet: `look_at`. Complexity: O(1).
  [[nodiscard]] bool join(room_request& r, const room_join& who, time_point now, room_effects& fx);
  /// A poll: is also a sign of life. O(1) while it is early; else as rank_index::ahead.
  [[nodiscard]] room_answer look(const seat_holder& who, time_point now, room_effects& fx);
  /// The same of who listens without asking: a sign of life that is no poll, and never early.
  [[nodiscard]] room_answer watch(const seat_holder& who, time_point now, room_effects& fx);
  /// The same without consequences.
  [[nodiscard]] seat_view look_at(const seat_holder& who, time_point now) {
    return is_known(who.seat) ? describe(key_of_seat(who.seat), who.bind, now) : seat_view{};
  }
  /// Takes what was offered. Again: the same session.
  [[nodiscard]] bool claim(room_request& r, const seat_holder& who, time_point now, room_effects& fx);
  /// Waits for the turn, and takes it. A seat has one such waiter; a second one is refused as duplicate.
  [[nodiscard]] bool wait_turn(room_request& r, const seat_holder& who, time_point now, room_effects& fx);
  /// Does not wait any more, and keeps its seat. false: has been completed, or will be.
  [[nodiscard]] bool withdraw(room_request& r, const seat_holder& who) noexcept;
  /// Gives the seat up, whatever it is. Again: the same answer.
  [[nodiscard]] room_answer leave(const seat_holder& who, time_point now, room_effects& fx);
  /// Of a session: is still there; with session_renewal::sliding also longer.
  [[nodiscard]] room_answer renew(const seat_holder& who, std::uint64_t session, time_point now, room_effects& fx);
  /// Of a session: has done what it came for. Again: the same answer.
  [[nodiscard]] room_answer complete(const seat_holder& who, std::uint64_t session, time_point now, room_effects& fx);

  // The operator's.

  [[nodiscard]] bool revoke(room_request& r, seat_id seat, time_point now, room_effects& fx);
  /// All seats of a subject; the answer is that of one of them.
  [[nodiscard]] bool revoke_subject(room_request& r, std::uint64_t subject, time_point now, room_effects& fx);
  /// prequeue -> open draws those who have come. Back to prequeue: refused (false) once the room has opened.
  bool set_mode(room_mode mode, time_point now, room_effects& fx);
  /// So many more are let in without regard to the rate; max_active holds.
  void advance(std::uint64_t n, time_point now, room_effects& fx);
  /// What lies behind can take this part of what is configured; 0: nobody. Range: [0, 1].
  void set_gate(double part, time_point now, room_effects& fx);

  /// Other limits from now on; see `basic_waiting_room::reconfigure`. Returns what is wrong, and then nothing has changed.
  std::optional<config_error> reconfigure(const room_config& config, time_point now, room_effects& fx);

  /// Call at `next_event()`, or earlier.
  void pass(time_point now, room_effects& fx);
  [[nodiscard]] time_point next_event(time_point now) const noexcept;

  // The store's.

  /// All records up to this one are safe.
  void stored(std::uint64_t upto, time_point now, room_effects& fx);
  /// Nothing can be written at the moment: nobody is let in, and who waits for it is told. What was decided stands, and is
  /// still to be stored.
  void store_fails(time_point now, room_effects& fx);
  void store_works(time_point now, room_effects& fx);

 private:
  [[nodiscard]] static bool refuse(room_request& r, room_refusal why, duration retry_after = {}) noexcept {
    r.answer.why = why;
    r.answer.retry_after = retry_after;
    return true;
  }
  bool refuse_join(room_request& r, std::uint8_t lane, room_refusal why, duration retry_after = {}) noexcept {
    ++totals_.refused[static_cast<std::size_t>(why)];
    if (lane < lanes_.size()) ++lanes_[lane].totals.refused[static_cast<std::size_t>(why)];
    return refuse(r, why, retry_after);
  }
  bool join_again(room_request& r, const room_join& who, detail::subject_seat had, time_point now, room_effects& fx);
  /// Of who has just joined and has nobody before it: perhaps it need not wait at all.
  [[nodiscard]] bool come_in_at_once(room_request& r, const room_join& who, detail::seat_key key, time_point now,
                                     room_effects& fx);
  /// Offered, active, absent or over: `look` at all who do not wait. Who was absent is back.
  room_answer see_out_of_line(detail::seat_key key, std::uint64_t bind, time_point now, room_effects& fx);
  /// The subject has moved to another device.
  [[nodiscard]] bool has_moved(const seat_holder& who) noexcept;
  /// After what may have made room.
  void go_on(time_point now, room_effects& fx) {
    admit(now, fx);
    serve_called(now, fx);
  }
  /// The record of it. Whatever the seat is: waiting, offered, active, absent.
  std::uint64_t take_out(detail::seat_key key, time_point now, room_effects& fx);
  void end_what_is_due(time_point now, room_effects& fx);
  void turn_blocks(time_point now, room_effects& fx);
  void open(time_point now, room_effects& fx);
  void restore(const room_image& image, time_point now);
  void restore_session(const room_image::session& was, time_point now);

  std::optional<lottery_seed> seed_;
  time_point next_turns_ = time_point::min();
  time_point next_forget_ = time_point::min();
};

}  // namespace weir::inline v0

#include <weir/room/detail/room_operation.hpp>
#include <weir/room/detail/room_requests.hpp>
