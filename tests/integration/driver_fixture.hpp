#pragma once
/// \file
/// What the driver's tests share: a run of a scenario given in pieces, with the ledger checked, and replies in a word.

#include <support/scripted_server.hpp>

#include <load/driver.hpp>
#include <scenario/parse.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>

namespace weir::testing_support {

using namespace load;
using kind = reply_kind;

inline const std::string one_get = "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', timeout='5s'}]\n";

/// `load` is the inside of [[load]], `rest` the journeys.
inline run_result run(const std::string& target, const std::string& load, const std::string& rest = one_get,
                      const std::string& scenario = "", drive_options options = {}) {
  const scenario::parsed file = scenario::parse(
      "[scenario]\nname='test'\nseed=1\n" + scenario + "\n[[load]]\njourney='j'\n" + load + "\n" + rest, "test");
  for (const auto& d : file.errors) ADD_FAILURE() << d.text();
  scenario::definition d = file.definition;
  d.target = target;
  const run_result r = drive(d, options);
  // The ledger, whatever the server did.
  EXPECT_EQ(r.journeys.intended, r.journeys.started + r.journeys.dropped);
  EXPECT_EQ(r.journeys.started, r.journeys.completed + r.journeys.failed + r.journeys.interrupted);
  for (const step_result& s : r.steps) {
    std::uint64_t ended = 0;
    for (const std::uint64_t n : s.verdicts) ended += n;
    EXPECT_EQ(s.all.count(), ended);
    EXPECT_LE(ended, s.reached);
    EXPECT_EQ(s.request.count(), s.attempts);
  }
  if (!r.seconds.empty()) {
    EXPECT_EQ(r.seconds.back().in_flight, 0u);
  }
  return r;
}

inline const std::string fifty = "executor='constant-arrival-rate'\nrate=50\nduration='1s'\narrivals='uniform'";
inline const std::string five = "executor='constant-arrival-rate'\nrate=10\nduration='500ms'\narrivals='uniform'";

inline std::uint64_t count(const step_result& s, verdict v) { return s.verdicts[static_cast<std::size_t>(v)]; }

inline server_reply answer(unsigned status, std::string body = "{}") {
  server_reply r;
  r.status = status;
  r.body = std::move(body);
  return r;
}

inline server_reply of_kind(kind k, std::string body = {}) {
  server_reply r;
  r.kind = k;
  r.body = std::move(body);
  return r;
}

}  // namespace weir::testing_support
