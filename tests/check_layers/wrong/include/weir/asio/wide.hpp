#pragma once
#include <weir/observe/spdlog_observer.hpp>
#include <boost/asio.hpp>
