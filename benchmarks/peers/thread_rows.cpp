#include "channel_pool.hpp"
#include "condvar_pool.hpp"
#include "crowd.hpp"
#include "futex_pool.hpp"
#include "idle.hpp"
#include "rows.hpp"
#include "storm_threads.hpp"
#include "weir_pools.hpp"

namespace weir_peers {
namespace {

template <thread_pool Pool>
void add_idle(std::vector<row>& rows) {
  const std::string pool{Pool::name};
  rows.push_back({"idle_1", pool, [](const settings& s) { return run_idle<Pool>(s, 1); }});
  rows.push_back({"idle_2", pool, [](const settings& s) { return run_idle<Pool>(s, 2); }});
}

template <thread_pool Pool>
void add_waiting(std::vector<row>& rows) {
  const std::string pool{Pool::name};
  rows.push_back({"crowd", pool, run_crowd<Pool>});
  rows.push_back({"storm_threads", pool, run_storm_threads<Pool>});
}

}  // namespace

std::vector<row> thread_rows() {
  std::vector<row> rows;
  add_idle<condvar_pool>(rows);
  add_idle<futex_pool>(rows);
  add_idle<channel_try_pool>(rows);
  add_waiting<condvar_pool>(rows);
  add_waiting<futex_pool>(rows);
  using weir_pool = weir_thread_pool<prediction::on>;
  using weir_without = weir_thread_pool<prediction::off>;
  add_idle<weir_pool>(rows);
  add_waiting<weir_pool>(rows);
  rows.push_back({"storm_threads", std::string{weir_without::name}, run_storm_threads<weir_without>});
  return rows;
}

}  // namespace weir_peers
