#pragma once
/// \file
/// Requests to a waiting room that may have to wait for its store, as asynchronous operations. (To wait for a turn:
/// asio/room.hpp. A look at a seat never waits: `room.look`.)
///
/// ```cpp
/// weir::room_answer a = co_await weir::async_join(room, {.subject = user}, boost::asio::use_awaitable);
/// if (a.why == weir::room_refusal::none) send(room.ticket_for(a.view.seat, user).view());
/// a = co_await weir::async_claim(room, seat.holder, boost::asio::use_awaitable);
/// ```
/// Completion signature: `void(weir::room_answer)`, on the handler's associated executor, never inline. Without a
/// cancellation: what is decided is being written down. Thread-safe; the room outlives the operation. Memory by the
/// handler's allocator, and freed before the handler runs. Errors: std::bad_alloc, to who begins it, and nothing has
/// changed; where that is `co_await`, and while an answer is on its way: std::terminate.

#include <weir/room/room_core.hpp>
#include <weir/room/room_effects.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {
namespace detail {

/// An answer on its way to its handler.
template <class Handler>
struct room_answer_delivery {
  using allocator_type = boost::asio::associated_allocator_t<Handler>;

  void operator()() { std::move(handler)(answer); }
  [[nodiscard]] allocator_type get_allocator() const noexcept { return boost::asio::get_associated_allocator(handler); }

  Handler handler;
  room_answer answer;
};

/// A request and who is to be told. Owns itself from `start` on.
template <class Handler>
class room_call : public room_request {
  // Not an executor_work_guard, which knows no strand<any_io_executor>.
  using working_executor =
      std::decay_t<decltype(boost::asio::prefer(std::declval<const boost::asio::associated_executor_t<Handler>&>(),
                                                boost::asio::execution::outstanding_work.tracked))>;
  using allocator_type =
      typename std::allocator_traits<boost::asio::associated_allocator_t<Handler>>::template rebind_alloc<room_call>;

 public:
  template <class Ask>
  static void start(Handler handler, Ask&& ask) {
    allocator_type allocator{boost::asio::get_associated_allocator(handler)};
    room_call* const call = std::allocator_traits<allocator_type>::allocate(allocator, 1);
    new (call) room_call{std::move(handler)};
    bool at_once = true;
    try {
      at_once = ask(static_cast<room_request&>(*call));
    } catch (...) {
      (void)call->take();
      throw;
    }
    if (at_once) completed(*call);  // else it may be gone already
  }

 private:
  explicit room_call(Handler h)
      : handler_(std::move(h)),
        working_(boost::asio::prefer(boost::asio::get_associated_executor(handler_),
                                     boost::asio::execution::outstanding_work.tracked)) {
    complete = completed;
  }

  static void completed(room_request& r) noexcept {
    auto& self = static_cast<room_call&>(r);
    const room_answer a = self.answer;
    const working_executor until_posted = self.working_;
    room_answer_delivery<Handler> delivery{self.take(), a};
    const auto executor = boost::asio::get_associated_executor(delivery.handler);
    boost::asio::post(executor, std::move(delivery));
  }
  /// This is gone afterwards.
  Handler take() noexcept {
    Handler handler = std::move(handler_);
    allocator_type allocator{boost::asio::get_associated_allocator(handler)};
    this->~room_call();
    std::allocator_traits<allocator_type>::deallocate(allocator, this, 1);
    return handler;
  }

  Handler handler_;
  working_executor working_;  // the handler's; counts as work of its context
};

/// `ask(request)`: whether it is answered at once. Errors: those of `ask`, to the initiator.
template <class Ask>
struct room_call_initiation {
  Ask ask;
  template <class Handler>
  void operator()(Handler&& handler) {
    room_call<std::decay_t<Handler>>::start(std::forward<Handler>(handler), ask);
  }
};
template <class Token, class Ask>
auto async_room_call(Ask ask, Token&& token) {
  return boost::asio::async_initiate<Token, void(room_answer)>(room_call_initiation<Ask>{std::move(ask)}, token);
}

}  // namespace detail

/// See basic_waiting_room::join.
template <class Room, class Token>
auto async_join(Room& room, const room_join& who, Token&& token) {
  return detail::async_room_call([&room, who](room_request& r) { return room.join(r, who); }, std::forward<Token>(token));
}
/// See basic_waiting_room::claim.
template <class Room, class Token>
auto async_claim(Room& room, const seat_holder& who, Token&& token) {
  return detail::async_room_call([&room, who](room_request& r) { return room.claim(r, who); }, std::forward<Token>(token));
}

}  // namespace weir::inline v0
