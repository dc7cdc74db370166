#include <weir/room/hmac_signer.hpp>
#include <weir/room/room_metrics.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

/// What dashboards and alerts hang on: name, type, labels beside the room's name; with the values of single numbers.
std::vector<std::string> lines_of(const std::vector<weir::metric_family>& all) {
  std::vector<std::string> lines;
  for (const auto& f : all) {
    EXPECT_FALSE(f.help.empty()) << f.name;
    for (const auto& p : f.points) {
      EXPECT_EQ(p.labels.front(), (std::pair<std::string, std::string>{"room", "room"})) << f.name;
      std::string line = f.name;
      for (std::size_t i = 1; i < p.labels.size(); ++i) line += ' ' + p.labels[i].first + '=' + p.labels[i].second;
      switch (f.type) {
        case weir::metric_type::counter: line += " counter "; break;
        case weir::metric_type::gauge: line += " gauge "; break;
        case weir::metric_type::histogram:
          line += " histogram of " + std::to_string(p.count);
          EXPECT_EQ(p.buckets.size(), f.name == "room_eta_error_ratio" ? 9U : f.name == "room_store_seconds" ? 12U : 13U);
          EXPECT_LE(p.buckets.back().second, p.count);
          break;
      }
      if (f.type != weir::metric_type::histogram) line += std::to_string(static_cast<int>(p.value * 10));
      lines.push_back(line);
    }
  }
  return lines;
}

TEST(room_metrics, have_these_names_and_say_this) {
  weir::manual_clock clock;
  const weir::hmac_signer keys{1, std::string(32, 'k')};
  weir::room_config config = weir::bank_teller(1);
  config.admit = weir::rate{50, 10s};
  config.lanes = {{.name = "a"}, {.name = "b"}};
  weir::basic_waiting_room<weir::hmac_signer, weir::manual_clock> room{config, keys, nullptr, {}, clock};
  const auto join = [&](const weir::room_join& who) {
    weir::room_request r;
    EXPECT_TRUE(room.join(r, who));
    return r.answer.view;
  };
  const auto inside = join({.subject = 1});
  join({.subject = 2});
  join({.subject = 2});  // again
  const weir::seat_id seats[] = {join({}).seat, join({.lane = 1}).seat};
  clock.advance(2s);
  EXPECT_EQ(room.look({seats[1], 0, 0}).why, weir::room_refusal::none);
  EXPECT_EQ(room.look({seats[1], 0, 0}).why, weir::room_refusal::early);
  room.leave({seats[0], 0, 0});
  room.complete({inside.seat, 1, 0}, inside.session);  // the next one is asked in
  (void)room.read("nonsense", weir::token_kind::seat);
  (void)room.read(room.ticket_for(seats[0], 0, 7).view(), weir::token_kind::seat, 8);
  room.set_mode(weir::room_mode::closed);
  weir::room_request late;
  EXPECT_TRUE(room.join(late, {}));

  EXPECT_THAT(
      lines_of(metrics_of(room)),
      ElementsAre(
          "room_tickets state=prequeued gauge 0", "room_tickets state=waiting gauge 10",
          "room_tickets state=offered gauge 10", "room_tickets state=active gauge 0", "room_waiting lane=a gauge 0",
          "room_waiting lane=b gauge 10", "room_head_seq lane=a gauge 30", "room_head_seq lane=b gauge 0",
          "room_tail_seq lane=a gauge 30", "room_tail_seq lane=b gauge 10", "room_oldest_wait_seconds lane=a gauge 0",
          "room_oldest_wait_seconds lane=b gauge 20", "room_joined_total lane=a result=new counter 30",
          "room_joined_total lane=a result=same counter 10", "room_joined_total lane=a result=full counter 0",
          "room_joined_total lane=a result=closed counter 10", "room_joined_total lane=a result=duplicate counter 0",
          "room_joined_total lane=a result=store counter 0", "room_joined_total lane=b result=new counter 10",
          "room_joined_total lane=b result=same counter 0", "room_joined_total lane=b result=full counter 0",
          "room_joined_total lane=b result=closed counter 0", "room_joined_total lane=b result=duplicate counter 0",
          "room_joined_total lane=b result=store counter 0", "room_admitted_total lane=a via=rate counter 10",
          "room_admitted_total lane=a via=concurrency counter 0", "room_admitted_total lane=a via=manual counter 0",
          "room_admitted_total lane=a via=bypass counter 0", "room_admitted_total lane=a via=passthrough counter 0",
          "room_admitted_total lane=b via=rate counter 0", "room_admitted_total lane=b via=concurrency counter 0",
          "room_admitted_total lane=b via=manual counter 0", "room_admitted_total lane=b via=bypass counter 0",
          "room_admitted_total lane=b via=passthrough counter 0", "room_left_total reason=left counter 10",
          "room_left_total reason=abandoned counter 0", "room_left_total reason=lapsed counter 0",
          "room_left_total reason=revoked counter 0", "room_duplicate_join_total action=same counter 10",
          "room_duplicate_join_total action=move counter 0", "room_duplicate_join_total action=reject counter 0",
          "room_poll_total result=ok counter 20", "room_poll_total result=early counter 10",
          "room_poll_total result=bad_token counter 20", "room_poll_total result=expired counter 0",
          "room_token_rejected_total reason=mac counter 0", "room_token_rejected_total reason=kid counter 0",
          "room_token_rejected_total reason=epoch counter 0", "room_token_rejected_total reason=bind counter 10",
          "room_token_rejected_total reason=malformed counter 10", "room_token_rejected_total reason=version counter 0",
          "room_token_rejected_total reason=kind counter 0", "room_queue_jump_total counter 0",
          "room_wait_seconds outcome=admitted histogram of 2", "room_wait_seconds outcome=abandoned histogram of 0",
          "room_wait_seconds outcome=left histogram of 1", "room_claim_seconds histogram of 1",
          "room_session_seconds end=completed histogram of 1", "room_session_seconds end=expired histogram of 0",
          "room_session_seconds end=other histogram of 0", "room_eta_error_ratio histogram of 1",
          "room_admission_blocked_seconds_total by=rate counter 0",
          "room_admission_blocked_seconds_total by=active counter 20",
          "room_admission_blocked_seconds_total by=gate counter 0",
          "room_admission_blocked_seconds_total by=paused counter 0",
          "room_admission_blocked_seconds_total by=store counter 0", "room_store_seconds op=load outcome=ok histogram of 0",
          "room_store_seconds op=write outcome=ok histogram of 0",
          "room_store_seconds op=write outcome=failed histogram of 0", "room_admission_limit kind=rate gauge 50",
          "room_admission_limit kind=active gauge 10", "room_gate_ratio gauge 10", "room_noshow_ratio gauge 0",
          "room_unstored_records gauge 0"));
}

TEST(room_metrics, buckets_hold_all_that_is_smaller) {
  weir::bounded_counts<13> c;
  for (const double s : {0.5, 1.0, 4.0, 20000.0}) c.add(s, weir::room_wait_bounds);
  weir::room_snapshot s;
  s.totals.waited[1] = c;
  s.totals.waited[1].sum = 7;
  weir::room_config config;
  for (const auto& f : weir::room_metrics(config, s)) {
    if (f.name != "room_wait_seconds") continue;
    const auto& p = f.points[1];
    EXPECT_EQ(p.labels[1].second, "abandoned");
    EXPECT_EQ(p.count, 4U);
    EXPECT_EQ(p.value, 7);
    EXPECT_EQ(p.buckets[0], (std::pair<double, std::uint64_t>{1, 2}));
    EXPECT_EQ(p.buckets[1], (std::pair<double, std::uint64_t>{5, 3}));
    EXPECT_EQ(p.buckets[12], (std::pair<double, std::uint64_t>{14400, 3}));
    return;
  }
  FAIL() << "room_wait_seconds is missing";
}

}  // namespace
