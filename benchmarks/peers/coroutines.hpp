#pragma once
// Coroutines that are counted: the context stops when the last has ended, whatever timers a pool still has in it.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <exception>
#include <utility>

namespace weir_peers {

/// For a context that one thread runs. What a coroutine throws ends the program.
class coroutine_group {
 public:
  coroutine_group(boost::asio::io_context& context, std::size_t expected) : context_(context), left_(expected) {}

  template <class Executor>
  void spawn(boost::asio::awaitable<void, Executor> coroutine) {
    boost::asio::co_spawn(Executor{context_.get_executor()}, std::move(coroutine),
                          [this](const std::exception_ptr& thrown) {
                            if (thrown) std::rethrow_exception(thrown);
                            if (--left_ == 0) context_.stop();
                          });
  }

 private:
  boost::asio::io_context& context_;
  std::size_t left_;
};

}  // namespace weir_peers
