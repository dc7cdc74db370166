#pragma once
#include <atomic>
#include <weir/core/time.hpp>
