#pragma once
/// \file
/// The waiting room as a service uses it: lock, clock, tokens and store around `room_core`.
///
/// ```cpp
/// weir::hmac_signer keys{1, secret_of_32_bytes};
/// weir::waiting_room<weir::hmac_signer> room{weir::bank_teller(100), keys};
/// weir::room_request r;
/// if (room.join(r, {})) send(room.ticket_for(r.answer.view.seat).view());   // without a store it is always there at once
/// auto seat = room.read(token_from_client, weir::token_kind::seat);
/// if (seat.problem == weir::ticket_problem::none) show(room.look(seat.holder).view.position);
/// ```
/// Somebody has to tell it that time passes: asio/room.hpp does, or call `pass()` every 100 ms.
///
/// Thread-safe. Calls take one short lock; none waits for a store. Requests that do are completed on whatever thread brings
/// their turn, without the lock. Cancellation: a request that waits for its turn can be withdrawn, others end by
/// themselves. Pinned; ends after all its requests.

#include <weir/core/default_clock.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/room/lottery_commitment.hpp>
#include <weir/room/room_core.hpp>
#include <weir/room/room_gate.hpp>
#include <weir/room/room_snapshot.hpp>
#include <weir/room/room_store.hpp>
#include <weir/room/seat_token.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Why a token does not count.
enum class ticket_problem : std::uint8_t {
  none,
  malformed,    ///< no token at all
  version,      ///< of another version of weir
  unknown_key,  ///< its key is not kept any more, or never was
  forged,       ///< not ours, not for this room, or changed
  wrong_kind,   ///< a session where a seat is asked for, or the other way round
  epoch,        ///< of this room before it began afresh
  bind,         ///< of another device
};
[[nodiscard]] constexpr const char* to_string(ticket_problem p) noexcept {
  constexpr const char* names[] = {"none", "malformed", "version", "unknown_key", "forged", "wrong_kind", "epoch", "bind"};
  return static_cast<unsigned>(p) < std::size(names) ? names[static_cast<unsigned>(p)] : "unknown";
}

struct read_ticket {
  ticket_problem problem = ticket_problem::malformed;
  seat_holder holder{};
  std::uint64_t session = 0;           ///< of a pass
  std::chrono::sys_seconds expires{};  ///< of a pass: by itself, not extended since
};

template <signer Signer, clock_source Clock = default_clock, class Observer = null_observer>
class basic_waiting_room final : private room_store::listener {
 public:
  /// `keys` and `store` outlive it; without a store everything is kept in memory only. Blocks while the store is read.
  /// Errors: std::invalid_argument, std::bad_alloc, those of room_store::load and start, and of random_seed.
  basic_waiting_room(const room_config& config, const Signer& keys, room_store* store = nullptr, Observer observer = {},
                     Clock clock = {})
      : clock_(std::move(clock)),
        keys_(keys),
        store_(store),
        publisher_(std::move(observer)),
        name_(config.name),
        core_(config, store != nullptr, clock_.now()) {
    core_.want_events(observes<Observer, seat_changed>);
    room_image image;
    if (store_ != nullptr) {
      const time_point began = clock_.now();
      image = store_->load(config, began);
      count_store(0, elapsed(began, clock_.now()));
      epoch_ = image.epoch;
      seed_ = image.seed;
    } else {
      epoch_ = random_epoch();
      seed_ = random_seed();
    }
    core_.draw_with(seed_);
    room_effects records;  // nobody waits for anything yet
    core_.begin(image, clock_.now(), records);
    if (store_ != nullptr) store_->start(*this);
    flush();
  }
  basic_waiting_room(const basic_waiting_room&) = delete;
  basic_waiting_room& operator=(const basic_waiting_room&) = delete;
  ~basic_waiting_room() {
    flush();
    if (store_ != nullptr) store_->stop();
  }

  // Users. Where a request is taken: true: `r.answer` is there; false: `r` will be completed.

  [[nodiscard]] bool join(room_request& r, const room_join& who) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.join(r, who, now, fx); });
  }
  /// A poll, which is a sign of life.
  [[nodiscard]] room_answer look(const seat_holder& who) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.look(who, now, fx); });
  }
  /// Who listens without asking: a sign of life, never early.
  [[nodiscard]] room_answer watch(const seat_holder& who) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.watch(who, now, fx); });
  }
  /// Without consequences.
  [[nodiscard]] seat_view look_at(const seat_holder& who) {
    const time_point now = clock_.now();
    detail::scoped_lock lock{mutex_};
    return core_.look_at(who, now);
  }
  [[nodiscard]] bool claim(room_request& r, const seat_holder& who) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.claim(r, who, now, fx); });
  }
  [[nodiscard]] bool wait_turn(room_request& r, const seat_holder& who) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.wait_turn(r, who, now, fx); });
  }
  /// true: `r` does not wait for its turn any more, and is not completed.
  [[nodiscard]] bool withdraw(room_request& r, const seat_holder& who) noexcept {
    detail::scoped_lock lock{mutex_};
    return core_.withdraw(r, who);
  }
  room_answer leave(const seat_holder& who) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.leave(who, now, fx); });
  }
  room_answer renew(const seat_holder& who, std::uint64_t session) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.renew(who, session, now, fx); });
  }
  room_answer complete(const seat_holder& who, std::uint64_t session) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.complete(who, session, now, fx); });
  }

  // Tokens.

  [[nodiscard]] seat_token ticket_for(seat_id seat, std::uint64_t subject = 0, std::uint64_t bind = 0) const noexcept {
    return make_token(keys_, name_.view(),
                      {token_kind::seat, seat.lane, epoch_, seat.number, unix_seconds(), subject, bind});
  }
  /// Precondition: active, with a session.
  [[nodiscard]] seat_token pass_for(const seat_view& view, std::uint64_t bind = 0) const noexcept {
    const auto left = std::chrono::ceil<std::chrono::seconds>(elapsed(clock_.now(), view.session_expires)).count();
    const auto ends = static_cast<std::uint32_t>(std::clamp<std::int64_t>(unix_seconds() + left, 0, UINT32_MAX));
    return make_token(keys_, name_.view(),
                      {token_kind::pass, view.seat.lane, epoch_, view.seat.number, ends, view.session, bind});
  }
  /// `bind`: hash of the secret that the device has presented; 0: none. Takes no lock: touches nothing of the room.
  [[nodiscard]] read_ticket read(std::string_view text, token_kind kind, std::uint64_t bind = 0) const noexcept {
    read_ticket t;
    token_claims claims;
    switch (read_token(keys_, name_.view(), text, claims)) {
      case token_problem::none: t.problem = ticket_problem::none; break;
      case token_problem::malformed: return reject(ticket_problem::malformed);
      case token_problem::version: return reject(ticket_problem::version);
      case token_problem::unknown_key: return reject(ticket_problem::unknown_key);
      case token_problem::forged: return reject(ticket_problem::forged);
    }
    if (claims.kind != kind) return reject(ticket_problem::wrong_kind);
    if (claims.epoch != epoch_) return reject(ticket_problem::epoch);
    if (claims.bind != 0 && claims.bind != bind) return reject(ticket_problem::bind);
    t.holder = {{claims.lane, claims.number}, kind == token_kind::seat ? claims.about : 0, claims.bind};
    if (kind == token_kind::pass) {
      t.session = claims.about;
      t.expires = std::chrono::sys_seconds{std::chrono::seconds{claims.at}};
    }
    return t;
  }
  /// Whether this pass is of a session that is still active. One lock.
  [[nodiscard]] bool is_inside(const read_ticket& pass) {
    if (pass.problem != ticket_problem::none || pass.session == 0) return false;
    const seat_view v = look_at(pass.holder);
    return v.state == seat_state::active && v.session == pass.session && v.session_expires > clock_.now();
  }

  // The operator.

  [[nodiscard]] bool revoke(room_request& r, seat_id seat) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.revoke(r, seat, now, fx); });
  }
  [[nodiscard]] bool revoke_subject(room_request& r, std::uint64_t subject) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.revoke_subject(r, subject, now, fx); });
  }
  bool set_mode(room_mode mode) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.set_mode(mode, now, fx); });
  }
  void advance(std::uint64_t n) {
    act([&](room_core& core, time_point now, room_effects& fx) { core.advance(n, now, fx); });
  }
  /// Other limits from now on. Returns what is wrong, naming the field, and then nothing has changed: `name`, the number
  /// and the names of lanes, `presence`, `duplicates`, `seats_per_subject`, `opens_at` and `seed` stay, and whether
  /// `lapsed` is requeue_back. Nothing that somebody has is taken away:
  /// - Seats, places, offers and sessions stay, and end when they would have; new ones, and renewals, by what is new.
  /// - `max_active`, a lane's `cap`, `capacity` below what there is: nobody is thrown out, and nobody comes in until there
  ///   is room.
  /// - `admit` and `pace`: what has been spent stays spent. With room_pace::strict before and after, entries from before
  ///   count in the new windows (see admission_pace::reconfigure); with strict only now, windows begin with the change.
  /// - What an operator let in by `advance`, the gate, counters and events go on. Estimates begin afresh if what is
  ///   expected of the rate changes (`admit`, `max_active`, `session_ttl`, `eta_memory`, `order`, weights).
  ///
  /// Not stored: a room that starts again has the configuration that it is given then. Errors: std::bad_alloc; nothing has
  /// changed, or everything. Complexity: O(permits) with strict, O(lanes), and that of letting people in.
  std::optional<config_error> reconfigure(const room_config& config) {
    return act([&](room_core& core, time_point now, room_effects& fx) { return core.reconfigure(config, now, fx); });
  }
  /// `gate` is asked before every `pass`, on its thread, without a lock. Set it before others use the room. What it throws
  /// closes the gate until it answers again.
  void gate_by(std::function<gate_reading()> gate) { gate_ = std::move(gate); }

  /// Time has passed. One thread at a time.
  void pass() {
    std::string reason;
    double part = 1;
    if (gate_) {
      try {
        gate_reading reading = gate_();
        part = reading.part;
        reason = std::move(reading.reason);
      } catch (...) {
        part = 0;
        reason = "the gate threw";
      }
    }
    {
      detail::scoped_lock lock{mutex_};
      gate_reason_ = std::move(reason);
    }
    act([&](room_core& core, time_point now, room_effects& fx) {
      if (gate_) core.set_gate(part, now, fx);
      core.pass(now, fx);
      fx.records |= core.has_records();
    });
  }
  /// When `pass` has something to do: a moment that may come closer with every call, see `wake_by`.
  [[nodiscard]] time_point next_event() {
    const time_point now = clock_.now();
    detail::scoped_lock lock{mutex_};
    planned_ = core_.next_event(now);
    return planned_;
  }
  /// `wake(t)`: the next event is earlier than what `next_event` said last. Called on any thread, one at a time; must not
  /// use the room but for its time. Once this has returned, what it was before is not called any more.
  void wake_by(std::function<void(time_point)> wake) {
    const bool wanted = static_cast<bool>(wake);
    {
      detail::scoped_lock lock{wake_mutex_};
      std::swap(wake_, wake);
    }
    detail::scoped_lock lock{mutex_};
    wakes_ = wanted;
  }

  /// SHA-256 of what the opening draws with, in hex: to be published before anybody joins. Errors: as commitment_of.
  [[nodiscard]] std::string commitment() const { return commitment_of(seed_); }
  /// What it has drawn with, for everybody to check (room/lottery.hpp). Nothing: not open yet.
  [[nodiscard]] std::optional<lottery_seed> revealed_seed() {
    detail::scoped_lock lock{mutex_};
    return core_.mode() == room_mode::prequeue ? std::nullopt : std::optional{seed_};
  }

  [[nodiscard]] room_snapshot snapshot() {
    const time_point now = clock_.now();
    detail::scoped_lock lock{mutex_};
    room_snapshot s = take_snapshot(core_, now);
    s.epoch = epoch_;
    s.gate_reason = gate_reason_;
    s.store_error = store_error_;
    s.store_seconds = store_seconds_;
    for (std::size_t i = 0; i < s.tokens_rejected.size(); ++i) s.tokens_rejected[i] = rejected_[i].load(detail::relaxed);
    return s;
  }

  [[nodiscard]] weir::name name() const noexcept { return name_; }
  [[nodiscard]] std::uint32_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  /// As it is now: a copy. Errors: std::bad_alloc.
  [[nodiscard]] room_config config() const {
    detail::scoped_lock lock{mutex_};
    return core_.config();
  }
  [[nodiscard]] std::uint64_t swallowed() const noexcept { return publisher_.swallowed(); }

 private:
  void stored(std::uint64_t upto) noexcept override {
    {
      const time_point now = clock_.now();
      detail::scoped_lock lock{mutex_};
      store_error_.clear();
      for (; !written_.empty() && written_.front().first <= upto; written_.pop_front()) {
        count_store(1, elapsed(written_.front().second, now));
      }
    }
    act([&](room_core& core, time_point now, room_effects& fx) { core.stored(upto, now, fx); });
  }
  void store_fails(std::string_view why) noexcept override {
    {
      const time_point now = clock_.now();
      detail::scoped_lock lock{mutex_};
      store_error_ = why;
      if (!written_.empty()) count_store(2, elapsed(written_.front().second, now));
    }
    act([&](room_core& core, time_point now, room_effects& fx) { core.store_fails(now, fx); });
  }

  /// Runs `f` under the lock, and after it whatever follows, also if it throws.
  template <class F>
  auto act(F&& f) {
    struct step {
      explicit step(basic_waiting_room& r) : room(r) {}
      ~step() { room.follow(*this); }
      basic_waiting_room& room;
      room_effects fx;
      std::vector<seat_changed> events;
      time_point wake = never;
    } next{*this};
    const time_point now = clock_.now();
    detail::scoped_lock lock{mutex_};
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<F, room_core&, time_point, room_effects&>>) {
        f(core_, now, next.fx);
        conclude(next, now);
      } else {
        auto answer = f(core_, now, next.fx);
        conclude(next, now);
        return answer;
      }
    } catch (...) {
      conclude(next, now);
      throw;
    }
  }
  template <class Step>
  void conclude(Step& next, time_point now) noexcept WEIR_REQUIRES(mutex_) {
    if constexpr (observes<Observer, seat_changed>) core_.take_events(next.events);
    if (!wakes_) return;
    const time_point due = core_.next_event(now);
    if (due < planned_) next.wake = planned_ = due;
  }

  template <class Step>
  void follow(Step& next) noexcept {
    if (next.fx.records) flush();
    if (next.wake != never) wake(next.wake);
    for (const seat_changed& e : next.events) publisher_.publish([&](std::uint64_t) { return e; });
    while (room_request* r = next.fx.ready.pop_front()) r->complete(*r);
  }
  void wake(time_point due) noexcept {
    detail::scoped_lock lock{wake_mutex_};
    if (wake_) wake_(due);
  }
  /// In the order of decision. Ends the process when there is no memory for it: what is decided can neither be stored nor
  /// undone.
  void flush() noexcept {
    if (store_ == nullptr) return;
    detail::scoped_lock in_order{store_mutex_};
    std::vector<room_record> records;
    std::uint64_t upto = 0;
    {
      detail::scoped_lock lock{mutex_};
      upto = core_.take_records(records);
      if (!records.empty()) written_.emplace_back(upto, clock_.now());
    }
    if (!records.empty()) store_->write(std::move(records), upto);
  }

  void count_store(std::size_t what, duration took) noexcept WEIR_REQUIRES(mutex_) {
    store_seconds_[what].add(std::chrono::duration<double>(std::max(took, duration::zero())).count(), room_store_bounds);
  }
  read_ticket reject(ticket_problem why) const noexcept {
    rejected_[static_cast<std::size_t>(why)].fetch_add(1, detail::relaxed);
    return {.problem = why};
  }
  [[nodiscard]] static std::uint32_t unix_seconds() noexcept {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count());
  }

  [[no_unique_address]] Clock clock_;
  const Signer& keys_;
  room_store* store_;
  [[no_unique_address]] detail::publisher<Observer> publisher_;
  weir::name name_;
  std::uint32_t epoch_ = 0;
  lottery_seed seed_{};
  std::function<gate_reading()> gate_;
  detail::mutex wake_mutex_;  // never with another one of these
  std::function<void(time_point)> wake_ WEIR_GUARDED_BY(wake_mutex_);
  mutable std::array<detail::atomic<std::uint64_t>, 8> rejected_{};  // tokens, by ticket_problem
  detail::mutex store_mutex_;                                        // taken before mutex_
  mutable detail::mutex mutex_;
  room_core core_ WEIR_GUARDED_BY(mutex_);
  time_point planned_ WEIR_GUARDED_BY(mutex_) = never;  // what was last told
  bool wakes_ WEIR_GUARDED_BY(mutex_) = false;          // there is somebody to tell
  std::string gate_reason_ WEIR_GUARDED_BY(mutex_);
  std::string store_error_ WEIR_GUARDED_BY(mutex_);
  std::deque<std::pair<std::uint64_t, time_point>> written_ WEIR_GUARDED_BY(mutex_);  // handed over, and not stored
  std::array<bounded_counts<12>, 3> store_seconds_ WEIR_GUARDED_BY(mutex_){};
};

template <signer Signer>
using waiting_room = basic_waiting_room<Signer>;

}  // namespace weir::inline v0
