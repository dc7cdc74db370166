#pragma once
#include <weir/asio/co_run.hpp>
#include <boost/asio/awaitable.hpp>
