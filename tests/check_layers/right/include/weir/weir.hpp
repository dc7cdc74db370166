#pragma once
#include <weir/core/time.hpp>
#include <weir/stats/counter.hpp>
#include <weir/version.hpp>
