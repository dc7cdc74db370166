#pragma once
// A backend with which everything goes wrong, and what its users and the test need to notice what a pool makes of it.
#include <weir/asio/pool.hpp>
#include <weir/core/random.hpp>
#include <weir/testing/manual_clock.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace weir::testing_support {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// What the backend sees and does. Thread-safe but for `gates`.
struct wire {
  /// Something hangs until the pool gives it up, or until the test says how it ends.
  struct gate {
    explicit gate(const asio::any_io_executor& executor) : timer(executor, asio::steady_timer::time_point::max()) {}
    asio::steady_timer timer;
    bool opened = false, ends_well = false;
  };

  explicit wire(std::uint64_t s) : seed(s) {}

  /// In [0, n).
  std::uint64_t draw(std::uint64_t n) { return random_stream{seed + (++draws << 20), "wire"}.below(n); }

  const std::uint64_t seed;
  std::atomic<std::uint64_t> draws{0}, connects{0}, connected{0};
  std::atomic<int> alive{0}, most{0};  // sockets that exist, and that may
  std::atomic<int> too_many{0}, shared{0}, aborted{0};
  std::atomic<int> age{0};  // how often all connections were declared invalid
  std::atomic<bool> outage{false}, calm{false};
  std::atomic<bool> hangs{false};
  std::atomic<int> refuses_next{0};
  std::uint64_t fates = 12;  // the more, the calmer it is
  bool real_time = false;
  std::list<gate*> gates;
  std::shared_ptr<int> token = std::make_shared<int>();  // shared with every backend
};

/// A socket, which counts itself and notices when two use it.
class counted_socket {
 public:
  explicit counted_socket(wire* w) : wire_(w), age_(w->age) {
    if (w->alive.fetch_add(1) >= w->most) ++w->too_many;
  }
  counted_socket(counted_socket&& other) noexcept
      : wire_(std::exchange(other.wire_, nullptr)), age_(other.age_), busy_(other.busy_), aborted_(other.aborted_.load()) {}
  counted_socket& operator=(counted_socket&&) = delete;
  ~counted_socket() {
    if (wire_ == nullptr) return;
    if (busy_) ++wire_->shared;
    if (!aborted_) wire_->alive.fetch_sub(1);
  }
  /// While it is used, on any thread: the server is rid of it.
  void abort() noexcept {
    if (aborted_.exchange(true)) return;
    wire_->alive.fetch_sub(1);
    ++wire_->aborted;
  }
  // Plain memory: the sanitizer sees whether one user's writes reach the next.
  void begin() noexcept {
    if (wire_ == nullptr) {
      ADD_FAILURE() << "used after it was taken out";
    } else if (std::exchange(busy_, true)) {
      ++wire_->shared;
    }
  }
  void end() noexcept { busy_ = false; }
  [[nodiscard]] int age() const noexcept { return age_; }

 private:
  wire* wire_;
  int age_;
  bool busy_ = false;
  std::atomic<bool> aborted_{false};
};

struct faulty {
  using connection = counted_socket;

  wire* w;
  std::shared_ptr<int> token = w->token;

  asio::awaitable<connection> connect(connect_context) {
    ++w->connects;
    connection fresh{w};
    if (w->refuses_next > 0 && w->refuses_next-- > 0) throw std::runtime_error("refused");
    co_await suffer();
    ++w->connected;
    co_return fresh;
  }
  asio::awaitable<void> validate(connection& c) { return work(c); }
  asio::awaitable<void> reset(connection& c) { return work(c); }
  asio::awaitable<void> close(connection& c) { return work(c); }
  void abort(connection& c) noexcept { c.abort(); }
  [[nodiscard]] bool is_broken(const connection&) const noexcept { return !w->calm && w->draw(2 * w->fates) == 0; }

 private:
  asio::awaitable<void> work(connection& c) {
    struct turn {
      explicit turn(connection& s) : socket(s) { socket.begin(); }
      ~turn() { socket.end(); }
      connection& socket;
    };
    const turn mine{c};
    co_await suffer();
  }
  asio::awaitable<void> suffer() {
    if (w->hangs) co_return co_await hang();
    if (w->calm) co_return;
    if (w->outage && w->draw(4) != 0) throw std::runtime_error("refused");
    const auto fate = w->draw(w->fates);
    if (fate == 0) throw std::runtime_error("refused");
    if (fate < 3) {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      if (fate == 2) throw std::runtime_error("refused in the end");
    }
    if (fate > 5) co_return;
    co_await hang();
  }
  asio::awaitable<void> hang() {
    wire::gate gate{co_await asio::this_coro::executor};
    if (w->real_time) {
      gate.timer.expires_after(w->draw(8) == 0 ? 5ms : std::chrono::microseconds{w->draw(300)});
    } else {
      w->gates.push_back(&gate);
    }
    struct leave {
      ~leave() { std::erase(w->gates, gate); }  // also when the context goes
      wire* w;
      wire::gate* gate;
    };
    const std::optional<leave> at_end = w->real_time ? std::nullopt : std::optional<leave>{std::in_place, w, &gate};
    try {
      co_await gate.timer.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
    }
    // Given up by the pool, it may just have been done.
    if (gate.opened ? !gate.ends_well : w->draw(3) == 0) throw std::runtime_error("no answer");
  }
};

using faulty_pool = basic_pool<faulty, asio::any_io_executor, manual_clock>;
using faulty_answer = pool_result<faulty_pool::lease>;

/// Has a connection, and gives it back in one of all ways.
class user_of {
 public:
  explicit user_of(faulty_pool::lease l) : lease_(std::move(l)) { lease_->begin(); }
  user_of(user_of&&) noexcept = default;
  user_of& operator=(user_of&&) noexcept = delete;
  ~user_of() {
    if (lease_) lease_->end();
  }
  void finish(wire& w) {
    lease_->end();
    switch (w.draw(8)) {
      case 0: return lease_.discard();
      case 1: return lease_.release_clean();
      case 2: {
        ++w.most;  // the pool may open another one before this one is gone
        {
          const auto mine = lease_.detach();
        }
        --w.most;
        return;
      }
      default: return lease_.release();
    }
  }

 private:
  faulty_pool::lease lease_;
};

struct books {
  std::uint64_t asked = 0, granted = 0, dropped = 0;
  std::array<std::uint64_t, 32> refused{};
  [[nodiscard]] std::uint64_t of(errc e) const { return refused[static_cast<std::size_t>(e)]; }
};

/// What the pool says of everybody who asked, beside what they were told. Nobody waits any more.
inline void expect_same(const books& own, const pool_snapshot& s) {
  EXPECT_EQ(s.now.waiting, 0u);
  EXPECT_EQ(s.expired_handoffs, 0u);
  EXPECT_EQ(s.arrivals(), own.asked);
  // A grant that was cancelled on its way to its handler is a grant to the pool, and no more than that to its user; what a
  // handler would have been told that went with its context, only the pool knows.
  const auto told = [&](const char* what, std::uint64_t pool, std::uint64_t users) {
    EXPECT_TRUE(own.dropped == 0 ? pool == users : pool >= users) << what << ": " << pool << " and " << users;
  };
  told("granted or cancelled", s.granted() + s.cancelled, own.granted + own.of(errc::cancelled));
  told("timeout", s.timeout, own.of(errc::wait_timeout));
  told("predicted", s.predicted, own.of(errc::would_miss_deadline));
  told("queue_full", s.queue_full, own.of(errc::queue_full));
  told("codel", s.codel, own.of(errc::shed));
  told("quota", s.quota, own.of(errc::quota));
  told("backend_down", s.backend_down, own.of(errc::backend_down));
  told("closed", s.closed_refused, own.of(errc::closed));
  told("expired", s.expired, own.of(errc::expired));
  told("suspended", s.suspended, own.of(errc::suspended));
  told("refused", s.refused, own.of(errc::over_capacity));
  EXPECT_GE(s.granted(), own.granted);
}

}  // namespace weir::testing_support
