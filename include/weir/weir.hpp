#pragma once
/// \file
/// Everything of weir that needs no Asio and no compiled part: core, stats, policy, queue, pipeline. For a first look;
/// include the headers that you use where compile time counts. Asio's part is in weir/asio/, observers in weir/observe/,
/// what your own tests need in weir/testing/.

#include <weir/core/admission.hpp>
#include <weir/core/alarm.hpp>
#include <weir/core/backoff.hpp>
#include <weir/core/config.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/core/random.hpp>
#include <weir/core/time.hpp>
#include <weir/pipeline/any_policy.hpp>
#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/pipeline/explain.hpp>
#include <weir/pipeline/fallback.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/pipeline/waiting_policy.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/rate_limiter_config.hpp>
#include <weir/policy/resilience4j_preset.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/policy/window_limiter_config.hpp>
#include <weir/pool/backend.hpp>
#include <weir/queue/wait_node.hpp>
#include <weir/queue/wait_operation.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/queue/wait_queue_config.hpp>
#include <weir/queue/wait_queue_core.hpp>
#include <weir/stats/count_window.hpp>
#include <weir/stats/counter.hpp>
#include <weir/stats/ewma.hpp>
#include <weir/stats/histogram.hpp>
#include <weir/stats/time_window.hpp>
#include <weir/stats/window_counts.hpp>
#include <weir/version.hpp>
