#pragma once
#include <spdlog/spdlog.h>
#include <fmt/format.h>
#include <boost/beast/core.hpp>
#include <sqlite/sqlite3.h>
