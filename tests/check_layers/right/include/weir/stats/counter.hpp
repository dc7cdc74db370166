#pragma once
#include <weir/core/time.hpp>
#include <atomic>
