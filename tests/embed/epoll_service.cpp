// A service with an event loop of its own: requests wait for a slot in a wait_queue, and a plain epoll loop, no Asio, goes
// on with them when they have got one, or when they have not.
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;
using slot = weir::concurrency_limiter::permit;

/// What a wait ends with is told to the loop: completions come from any thread.
struct mailbox {
  int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::mutex mutex;
  std::deque<struct request*> ended;
};

struct request : weir::wait_operation<slot> {
  explicit request(mailbox& box, int number) : id(number), loop(&box) {
    complete = [](weir::wait_node& node, weir::wait_outcome) noexcept {
      auto& self = static_cast<request&>(node);
      const std::uint64_t one = 1;
      std::lock_guard lock{self.loop->mutex};
      self.loop->ended.push_back(&self);
      if (::write(self.loop->fd, &one, sizeof one) != sizeof one) std::perror("eventfd");
    };
  }
  int id;
  mailbox* loop;
};

int main() {
  mailbox box;
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event interest{.events = EPOLLIN, .data = {}};
  ::epoll_ctl(poll, EPOLL_CTL_ADD, box.fd, &interest);

  weir::concurrency_limiter limiter{{.name = "db", .limit = 1}};
  weir::wait_queue queue{limiter, {.name = "db", .capacity = 8, .max_wait = 2s}};
  auto busy = queue.try_acquire();
  request patient{box, 1}, hasty{box, 2};
  auto first = queue.start(patient);  // an answer: at once; nothing: it waits
  auto second = queue.start(hasty, {.deadline = queue.now() + 20ms});
  std::jthread worker{[&] { std::this_thread::sleep_for(60ms), busy->release(weir::outcome::success); }};

  int served = 0, late = 0;
  for (int open = !first + !second; open > 0;) {
    // The loop is the queue's alarm: it sleeps until the next deadline at most.
    const auto rest = queue.next_event() - queue.now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::clamp<weir::duration>(rest, 0ms, 1s)).count();
    epoll_event event{};
    ::epoll_wait(poll, &event, 1, static_cast<int>(ms));
    if (queue.next_event() <= queue.now()) queue.on_alarm();  // also when there is always something to read
    std::uint64_t count = 0;
    if (::read(box.fd, &count, sizeof count) < 0) continue;
    std::deque<request*> ended;
    {
      std::lock_guard lock{box.mutex};
      ended.swap(box.ended);
    }
    open -= static_cast<int>(ended.size());
    for (request* r : ended) {
      auto permit = r->take();  // given back at the end of this turn, which may serve the next
      std::printf("request %d: %s\n", r->id, permit ? "served" : permit.error().message().c_str());
      ++(permit ? served : late);
    }
  }
  ::close(poll), ::close(box.fd);
  return served == 1 && late == 1 ? 0 : 1;
}
