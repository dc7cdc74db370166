#pragma once
/// \file
/// Everything of weir that needs no Asio and no compiled part: core, stats, policy, queue, pipeline. For a first look;
/// include the headers that you use where compile time counts. Asio's part is in weir/asio/, observers in weir/observe/,
/// what your own tests need in weir/testing/.

#include <weir/core/admission.hpp>
#include <weir/core/alarm.hpp>
#include <weir/core/config.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/core/random.hpp>
#include <weir/core/time.hpp>
#include <weir/version.hpp>
