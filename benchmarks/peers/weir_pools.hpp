#pragma once
// weir's own pools, on connections that do nothing.

#include "connection.hpp"

#include <weir/asio/pool.hpp>
#include <weir/pool/blocking_pool.hpp>

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <memory>
#include <thread>

namespace weir_peers {

/// Makes them, with numbers from 0 on.
class stub_connections {
 public:
  connection next() { return connection{made_->fetch_add(1)}; }

 private:
  std::shared_ptr<std::atomic<std::uint32_t>> made_ = std::make_shared<std::atomic<std::uint32_t>>(0);
};

struct blocking_stub : stub_connections {
  using connection = weir_peers::connection;
  connection connect(const weir::connect_context&) { return next(); }
};
struct asio_stub : stub_connections {
  using connection = weir_peers::connection;
  boost::asio::awaitable<connection> connect(weir::connect_context) { co_return next(); }
};

/// Whether those who would wait beyond their deadline are refused at the door.
enum class prediction : bool { off, on };

/// Full from the start; as many waiters as come, for as long as they like.
inline weir::pool_config weir_config(std::uint32_t size, prediction p) {
  weir::pool_config config;
  config.name = "peers";
  config.max_size = config.min_size = size;
  config.acquire_timeout = weir::duration::max();
  config.max_waiters = 1'000'000;
  config.predict = p == prediction::on;
  return config;
}

constexpr std::string_view weir_name(prediction p) { return p == prediction::on ? "weir" : "weir_no_predict"; }

template <prediction Prediction>
class weir_thread_pool {
 public:
  static constexpr std::string_view name = weir_name(Prediction);

  explicit weir_thread_pool(std::uint32_t size) : pool_(blocking_stub{}, weir_config(size, Prediction)) {
    while (idle() != size) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }

  [[nodiscard]] auto acquire(time_point deadline) { return pool_.acquire({.deadline = deadline}); }
  template <class Held>
  void release(Held&& held) {
    if (held) held->release();
  }
  template <class Held>
  [[nodiscard]] static std::uint32_t id_of(const Held& held) {
    return (*held)->id;
  }
  [[nodiscard]] std::size_t idle() { return pool_.snapshot().now.idle; }

 private:
  weir::blocking_pool<blocking_stub> pool_;
};
static_assert(thread_pool<weir_thread_pool<prediction::on>>);

template <prediction Prediction>
class weir_coroutine_pool {
 public:
  using executor_type = boost::asio::io_context::executor_type;
  static constexpr std::string_view name = weir_name(Prediction);

  weir_coroutine_pool(boost::asio::io_context& context, std::uint32_t size)
      : pool_(context.get_executor(), asio_stub{}, weir_config(size, Prediction)) {
    while (idle() != size) context.run_one();
  }

  [[nodiscard]] auto co_acquire(time_point deadline) {
    return pool_.template co_acquire<executor_type>({.deadline = deadline});
  }
  template <class Held>
  void release(Held&& held) {
    if (held) held->release();
  }
  template <class Held>
  [[nodiscard]] static std::uint32_t id_of(const Held& held) {
    return (*held)->id;
  }
  [[nodiscard]] std::size_t idle() { return pool_.snapshot().now.idle; }

 private:
  weir::pool<asio_stub, executor_type> pool_;
};
static_assert(coroutine_pool<weir_coroutine_pool<prediction::on>>);

}  // namespace weir_peers
