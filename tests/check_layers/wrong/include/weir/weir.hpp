#pragma once
#include <weir/asio/co_run.hpp>
#include <weir/core/time.hpp>
