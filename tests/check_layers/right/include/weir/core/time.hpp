#pragma once
#include <boost/system/result.hpp>
#include <chrono>
