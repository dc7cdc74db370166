#include "channel_pool.hpp"
#include "hand_off.hpp"
#include "idle_coroutine.hpp"
#include "rows.hpp"
#include "storm_coroutines.hpp"
#include "weir_pools.hpp"

namespace weir_peers {
namespace {

template <coroutine_pool Pool>
void add_without_deadline(std::vector<row>& rows) {
  const std::string pool{Pool::name};
  rows.push_back({"idle_co", pool, run_idle_coroutine<Pool>});
  rows.push_back({"hand_off", pool, [](const settings& s) { return run_hand_off<Pool>(s, false); }});
}

template <coroutine_pool Pool>
void add_with_deadline(std::vector<row>& rows) {
  const std::string pool{Pool::name};
  rows.push_back({"hand_off_deadline", pool, [](const settings& s) { return run_hand_off<Pool>(s, true); }});
  rows.push_back({"storm_co", pool, run_storm_coroutines<Pool>});
}

}  // namespace

std::vector<row> coroutine_rows() {
  std::vector<row> rows;
  add_without_deadline<channel_pool>(rows);
  add_with_deadline<channel_pool>(rows);
  add_with_deadline<channel_pool_operator>(rows);
  using weir_pool = weir_coroutine_pool<prediction::on>;
  using weir_without = weir_coroutine_pool<prediction::off>;
  add_without_deadline<weir_pool>(rows);
  add_with_deadline<weir_pool>(rows);
  rows.push_back({"storm_co", std::string{weir_without::name}, run_storm_coroutines<weir_without>});
  return rows;
}

}  // namespace weir_peers
