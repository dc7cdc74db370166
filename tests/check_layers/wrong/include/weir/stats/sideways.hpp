#pragma once
#include <weir/core/time.hpp>
#include <weir/weir.hpp>
  #  include <weir/policy/rate_limiter.hpp>
// #include <weir/asio/co_run.hpp>
#include "counter.hpp"
#include <absl/container/flat_hash_map.h>
