// Who listens to its seat.
#include "open_stream.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace weir::inline v0 {
namespace detail {
namespace {

constexpr std::string_view retry = "retry: 3000\n\n";  // of the connection, in milliseconds
constexpr duration between_positions = std::chrono::seconds{1};

void append_event(std::string& out, std::string_view event, std::string_view data) {
  out.append("event: ").append(event).append("\ndata: ").append(data).append("\n\n");
}

/// What somebody reads differs.
bool differs(duration a, duration b) noexcept {
  const auto longer = std::max(a, b);
  return (longer - std::min(a, b)).count() > longer.count() / 5;
}

}  // namespace

open_stream::~open_stream() {
  room_->streams_->close(who_.seat, number_);
  if (bell_) bell_->answer_by({});
}

room_stream open_stream::make(std::shared_ptr<hosted_room> room, const seat_holder& who, std::uint64_t number) {
  hosted_room& r = *room;
  try {
    return room_stream{std::make_unique<open_stream>(std::move(room), who, number)};
  } catch (...) {
    r.streams_->close(who.seat, number);
    throw;
  }
}

room_stream::step open_stream::next() {
  room_stream::step s;
  if (ended_) return {.text = {}, .again_in = {}, .ends = true};
  const time_point now = room_->room_->now();
  if (!begun_) s.text = retry;
  if (bell_ && bell_->was_rung()) looked_in_vain_ = 1;
  if (!room_->streams_->is_open(who_.seat, number_)) {
    end(s, error_response(409, "replaced", "its owner listens on another connection").body);
    return s;
  }
  const room_answer a = room_->room_->watch(who_);
  if (a.why != room_refusal::none && a.why != room_refusal::over) {
    end(s, room_->refused(a, who_).body);
    return s;
  }
  if (a.view.state != told_.state) looked_in_vain_ = 0;
  if (!begun_ || is_news(a.view, now)) {
    append_event(s.text, "view", room_->told(a.view, who_).body);
    told_ = a.view;
    told_at_ = said_at_ = now;
    begun_ = true;
  } else if (elapsed(said_at_, now) >= room_->config_->streams.keep_alive) {
    s.text = ":\n\n";
    said_at_ = now;
  }
  if (a.why == room_refusal::over) {
    end(s, error_response(410, "over", "this has ended, see its state; join again if the room takes you").body);
  } else {
    s.again_in = std::min(until_next(a.view, now), after_waking_in_vain());
  }
  return s;
}

void open_stream::wake_by(std::function<void()> wake) {
  if (!bell_) {
    auto bell = std::make_shared<stream_bell>();
    bell_ = bell;
    (void)room_->streams_->hang(who_.seat, number_, std::move(bell));
  }
  bell_->answer_by(std::move(wake));
}

/// What has changed is told once it is stored, a few milliseconds later.
duration open_stream::after_waking_in_vain() noexcept {
  constexpr std::uint8_t give_up = 7;
  if (looked_in_vain_ == 0 || looked_in_vain_ == give_up) return duration::max();
  return std::chrono::milliseconds{10} * (1 << looked_in_vain_++);
}

void open_stream::end(room_stream::step& s, std::string_view body) {
  append_event(s.text, "end", body);
  s.ends = ended_ = true;
}

bool open_stream::is_news(const seat_view& v, time_point now) const noexcept {
  if (v.state != told_.state || v.reason != told_.reason || v.offer_expires != told_.offer_expires ||
      v.session_expires != told_.session_expires || v.eta.has_value() != told_.eta.has_value()) {
    return true;
  }
  const duration since = elapsed(told_at_, now);
  if (since > -between_positions && since < between_positions) return false;
  return v.position != told_.position ||
         (v.eta && (differs(v.eta->p50, told_.eta->p50) || differs(v.eta->p90, told_.eta->p90)));
}

/// The closer the turn, the more often; and when something ends.
duration open_stream::until_next(const seat_view& v, time_point now) const noexcept {
  const room_stream_config& c = room_->config_->streams;
  duration wait = c.slowest;
  if (v.eta && v.state == seat_state::waiting) wait = std::clamp(v.eta->p50 / 8, c.fastest, c.slowest);
  for (const time_point t : {v.offer_expires, v.session_expires}) {
    if (t != never) wait = std::min(wait, std::max(elapsed(now, t), c.fastest));
  }
  return wait;
}

}  // namespace detail

room_stream::room_stream(std::unique_ptr<detail::open_stream> open) noexcept : open_(std::move(open)) {}
room_stream::room_stream(room_stream&&) noexcept = default;
room_stream& room_stream::operator=(room_stream&&) noexcept = default;
room_stream::~room_stream() = default;

http_response room_stream::head() const {
  http_response r;
  r.headers = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
  return r;
}

room_stream::step room_stream::next() { return open_->next(); }
void room_stream::wake_by(std::function<void()> wake) { open_->wake_by(std::move(wake)); }

room_stream_waker::room_stream_waker() : places_(std::make_shared<detail::stream_places>()) {}
void room_stream_waker::wake(seat_id seat) const noexcept { places_->ring(seat); }

}  // namespace weir::inline v0
