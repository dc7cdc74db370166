#pragma once
#include <weir/stats/counter.hpp>
#include <boost/system/result.hpp>
#include <boost/asio/post.hpp>

#include <vector>
