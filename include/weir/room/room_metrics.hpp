#pragma once
/// \file
/// The metrics of a waiting room, by name. What each of them tells: docs/waiting_room.md.
///
/// ```cpp
/// weir::prometheus_collector collector;
/// auto shown = collector.add([&] { return weir::metrics_of(room); });   // until `shown` goes
/// ```

#include <weir/room/waiting_room.hpp>
#include <weir/stats/metric.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {
namespace detail {

class room_metric_writer {
 public:
  using label = std::pair<std::string, std::string>;

  explicit room_metric_writer(std::string_view room) : room_(room) {}

  room_metric_writer& family(std::string name, std::string help, metric_type type) {
    out_.push_back({std::move(name), std::move(help), type, {}});
    return *this;
  }
  template <class T>
  room_metric_writer& point(T value, label more = {}, label and_more = {}) {
    metric_point p;
    p.value = static_cast<double>(value);
    return add(std::move(p), std::move(more), std::move(and_more));
  }
  template <std::size_t N>
  room_metric_writer& counts(const bounded_counts<N>& c, const std::array<double, N>& bounds, label more = {},
                             label and_more = {}) {
    metric_point p{.labels = {}, .value = c.sum, .count = c.count()};
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < N; ++i) p.buckets.emplace_back(bounds[i], below += c.counts[i]);
    return add(std::move(p), std::move(more), std::move(and_more));
  }
  room_metric_writer& gauges(std::string name, std::string help) {
    return family(std::move(name), std::move(help), metric_type::gauge);
  }
  room_metric_writer& counters(std::string name, std::string help) {
    return family(std::move(name), std::move(help), metric_type::counter);
  }
  room_metric_writer& histograms(std::string name, std::string help) {
    return family(std::move(name), std::move(help), metric_type::histogram);
  }
  [[nodiscard]] std::vector<metric_family> take() && { return std::move(out_); }

 private:
  room_metric_writer& add(metric_point p, label more, label and_more) {
    p.labels.emplace_back("room", room_);
    for (label* l : {&more, &and_more}) {
      if (!l->first.empty()) p.labels.push_back(std::move(*l));
    }
    out_.back().points.push_back(std::move(p));
    return *this;
  }

  std::string room_;
  std::vector<metric_family> out_;
};

inline void write_room_lines(room_metric_writer& out, const room_snapshot& s) {
  const auto seconds = [](duration d) { return std::chrono::duration<double>(d).count(); };
  const bool early = s.mode == room_mode::prequeue;
  out.gauges("room_tickets", "Seats by state.");
  out.point(early ? s.waiting : 0, {"state", "prequeued"}).point(early ? 0 : s.waiting, {"state", "waiting"});
  out.point(s.offered, {"state", "offered"}).point(s.active, {"state", "active"});
  const auto each = [&](auto&& value) {
    for (const auto& lane : s.lanes) out.point(value(lane), {"lane", lane.name});
  };
  out.gauges("room_waiting", "Who waits, by lane.");
  each([](const auto& lane) { return lane.waiting; });
  out.gauges("room_head_seq", "The number at the front of the line.");
  each([](const auto& lane) { return lane.head; });
  out.gauges("room_tail_seq", "The number that is given out next.");
  each([](const auto& lane) { return lane.tail; });
  out.gauges("room_oldest_wait_seconds", "For how long who is first has waited.");
  each([&](const auto& lane) { return seconds(lane.oldest_wait); });
}

inline void write_room_counts(room_metric_writer& out, const room_snapshot& s) {
  const room_totals& t = s.totals;
  const auto refused = [&](room_refusal why) { return t.refused[static_cast<std::size_t>(why)]; };
  out.counters("room_joined_total", "Joins by lane and result.");
  for (const auto& lane : s.lanes) {
    const auto results = [&](std::uint64_t n, const char* result) {
      out.point(n, {"lane", lane.name}, {"result", result});
    };
    results(lane.totals.joined, "new");
    results(lane.totals.again, "same");
    for (const auto why : {room_refusal::full, room_refusal::closed, room_refusal::duplicate, room_refusal::store}) {
      results(lane.totals.refused[static_cast<std::size_t>(why)], to_string(why));
    }
  }
  out.counters("room_admitted_total", "Who has come in, by lane and what it had waited for.");
  for (const auto& lane : s.lanes) {
    for (std::size_t way = 0; way < lane.totals.entered.size(); ++way) {
      out.point(lane.totals.entered[way], {"lane", lane.name}, {"via", to_string(static_cast<entry_way>(way))});
    }
  }
  out.counters("room_left_total", "Who has gone without having been inside to the end, by why.");
  out.point(t.left, {"reason", "left"}).point(t.abandoned, {"reason", "abandoned"});
  out.point(t.lapsed, {"reason", "lapsed"}).point(t.revoked, {"reason", "revoked"});
  out.counters("room_duplicate_join_total", "Joins of who had a seat, by what became of them.");
  out.point(t.again - t.moved, {"action", "same"}).point(t.moved, {"action", "move"});
  out.point(refused(room_refusal::duplicate), {"action", "reject"});
  const auto rejected = [&](ticket_problem why) { return s.tokens_rejected[static_cast<std::size_t>(why)]; };
  std::uint64_t bad = 0;
  for (const std::uint64_t n : s.tokens_rejected) bad += n;
  out.counters("room_poll_total", "Polls of who waits, by result; bad_token: whatever was asked with it.");
  out.point(t.polls, {"result", "ok"}).point(t.early_polls, {"result", "early"}).point(bad, {"result", "bad_token"});
  out.point(t.polls_over, {"result", "expired"});
  out.counters("room_token_rejected_total", "Tokens that did not count, by why.");
  const std::pair<const char*, ticket_problem> reasons[] = {
      {"mac", ticket_problem::forged},      {"kid", ticket_problem::unknown_key},     {"epoch", ticket_problem::epoch},
      {"bind", ticket_problem::bind},       {"malformed", ticket_problem::malformed}, {"version", ticket_problem::version},
      {"kind", ticket_problem::wrong_kind},
  };
  for (const auto& [reason, why] : reasons) out.point(rejected(why), {"reason", reason});
  out.counters("room_queue_jump_total", "Served before somebody in front of it: always 0.").point(t.jumped);
}

inline void write_room_times(room_metric_writer& out, const room_snapshot& s) {
  const room_totals& t = s.totals;
  out.histograms("room_wait_seconds", "How long they waited, by how it ended.");
  out.counts(t.waited[0], room_wait_bounds, {"outcome", "admitted"});
  out.counts(t.waited[1], room_wait_bounds, {"outcome", "abandoned"});
  out.counts(t.waited[2], room_wait_bounds, {"outcome", "left"});
  out.histograms("room_claim_seconds", "How long after its offer who came in came in.");
  out.counts(t.claimed_after, room_wait_bounds);
  out.histograms("room_session_seconds", "How long they were inside, by how it ended.");
  out.counts(t.inside[0], room_wait_bounds, {"end", "completed"});
  out.counts(t.inside[1], room_wait_bounds, {"end", "expired"});
  out.counts(t.inside[2], room_wait_bounds, {"end", "other"});
  out.histograms("room_eta_error_ratio", "Actual wait over the p50 that was promised on joining.");
  out.counts(t.eta_error, eta_error_bounds);
  out.counters("room_admission_blocked_seconds_total", "Time in which somebody waited and nobody was let in, by why.");
  for (const auto why :
       {hold_reason::rate, hold_reason::active, hold_reason::gate, hold_reason::paused, hold_reason::store}) {
    out.point(std::chrono::duration<double>(t.held[static_cast<std::size_t>(why)]).count(), {"by", to_string(why)});
  }
  out.histograms("room_store_seconds", "How long the store took, by what it did and how it went.");
  out.counts(s.store_seconds[0], room_store_bounds, {"op", "load"}, {"outcome", "ok"});
  out.counts(s.store_seconds[1], room_store_bounds, {"op", "write"}, {"outcome", "ok"});
  out.counts(s.store_seconds[2], room_store_bounds, {"op", "write"}, {"outcome", "failed"});
}

}  // namespace detail

/// Of one room, labelled with its name. Names stay what they are. Errors: std::bad_alloc.
[[nodiscard]] inline std::vector<metric_family> room_metrics(const room_config& config, const room_snapshot& s) {
  detail::room_metric_writer out{config.name};
  detail::write_room_lines(out, s);
  detail::write_room_counts(out, s);
  detail::write_room_times(out, s);
  out.gauges("room_admission_limit", "Limits: entries per second, and who may be inside; 0: none.");
  const double per_s =
      config.admit ? static_cast<double>(config.admit->permits) / std::chrono::duration<double>(config.admit->per).count()
                   : 0;
  out.point(per_s, {"kind", "rate"}).point(config.max_active, {"kind", "active"});
  out.gauges("room_gate_ratio", "Part of what is configured that what lies behind the room can take.").point(s.gate);
  out.gauges("room_noshow_ratio", "Share of offers that lapse, as it was lately.").point(s.noshow);
  out.gauges("room_unstored_records", "Records on their way to the store.").point(s.unstored);
  return std::move(out).take();
}

/// Of a `basic_waiting_room`. Takes its lock once, shortly.
template <class Room>
  requires requires(Room& r) { room_metrics(r.config(), r.snapshot()); }
[[nodiscard]] std::vector<metric_family> metrics_of(Room& room) {
  return room_metrics(room.config(), room.snapshot());
}

}  // namespace weir::inline v0
