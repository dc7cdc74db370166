#pragma once
#include <boost/asio/awaitable.hpp>
#include <weir/stats/counter.hpp>
