#include "rooms.hpp"

#include <weir/asio/room_requests.hpp>
#include <weir/http/room_credentials.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/wait_traits.hpp>

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>
#include <variant>

namespace ticketing {
namespace {

using signing_key = std::array<std::uint8_t, 32>;

weir::room_config config_of(std::string name, const room_options& o) {
  weir::room_config c;
  c.name = std::move(name);
  c.admit = o.admit;
  c.pace = o.pace;
  c.max_active = o.max_active;
  c.claim_window = o.claim_window;
  c.session_ttl = o.session;
  c.session_max = std::max<weir::duration>(o.session, c.session_max);
  c.polls.budget_per_s = o.polls_per_s;
  c.opens_at = o.opens_at;
  return c;
}

signing_key new_key() {
  signing_key key{};
  if (RAND_bytes(key.data(), static_cast<int>(key.size())) != 1) throw std::runtime_error("OpenSSL has no randomness");
  return key;
}

/// Made when it is not there, readable by the owner alone.
signing_key key_in(const std::string& file) {
  const auto fails = [&file](const char* what) {
    return std::runtime_error(std::string("cannot ") + what + " the key " + file + ": " + std::strerror(errno));
  };
  const int made = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) {
    const signing_key key = new_key();
    // On the disk before the first seat: without it nobody is known again.
    const bool written = ::write(made, key.data(), key.size()) == static_cast<ssize_t>(key.size()) && ::fsync(made) == 0;
    const auto failure = written ? std::optional<std::runtime_error>{} : fails("write");
    ::close(made);
    if (failure) {
      ::unlink(file.c_str());  // or it would be taken for one, and be too short
      throw std::runtime_error(*failure);
    }
    return key;
  }
  if (errno != EEXIST) throw fails("make");
  const int there = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (there < 0) throw fails("read");
  signing_key key{};
  const auto size = ::read(there, key.data(), key.size());
  ::close(there);
  if (size != static_cast<ssize_t>(key.size())) throw std::runtime_error("the key " + file + " must have 32 bytes");
  return key;
}

/// A room in a file has to know its tokens again, one in memory has none to know.
signing_key key_of(const room_options& o) { return o.file.empty() ? new_key() : key_in(o.file + ".key"); }

bool is_operator(const weir::http_request& r, const std::string& token) {
  std::string_view shown = weir::bearer_of(r);
  if (shown.empty()) shown = weir::cookie_of(r, "weir_operator");
  return !token.empty() && shown.size() == token.size() && CRYPTO_memcmp(shown.data(), token.data(), token.size()) == 0;
}

desk_status status_of(weir::room_refusal why) {
  using weir::room_refusal;
  switch (why) {
    case room_refusal::none: return desk_status::ok;
    case room_refusal::not_yet: return desk_status::not_yet;
    case room_refusal::early: return desk_status::early;
    case room_refusal::full: return desk_status::full;
    case room_refusal::closed: return desk_status::closed;
    case room_refusal::over: return desk_status::over;
    case room_refusal::store: return desk_status::unavailable;
    case room_refusal::duplicate:
    case room_refusal::bound_elsewhere:
    case room_refusal::unknown: break;
  }
  return desk_status::no_token;
}

response response_of(weir::http_response a) {
  response r{.status = a.status, .body = std::move(a.body)};
  for (auto& [name, value] : a.headers) r.headers.emplace_back(name, std::move(value));
  return r;
}

/// Who listens to its seat.
class seat_events final : public body_source {
 public:
  seat_events(weir::room_stream stream, executor_type executor)
      : bell_(std::make_shared<bell>(executor)), stream_(std::move(stream)) {
    stream_.wake_by([weak = std::weak_ptr<bell>(bell_), executor]() noexcept {
      try {
        boost::asio::post(executor, [weak] {
          if (const auto b = weak.lock()) b->ring();
        });
      } catch (const std::bad_alloc&) {  // it looks when its time comes
      }
    });
  }

  task<std::string> next() override {
    weir::room_stream::step step{.text = {}, .again_in = again_in_, .ends = ended_};
    while (step.text.empty() && !step.ends) {
      if (!std::exchange(bell_->rung, false)) {
        bell_->timer.expires_after(step.again_in);
        boost::system::error_code cut;
        co_await bell_->timer.async_wait(boost::asio::redirect_error(use_task, cut));
        bell_->rung = false;
      }
      const auto told = co_await boost::asio::this_coro::cancellation_state;
      if (told.cancelled() != boost::asio::cancellation_type::none) break;
      step = looked();
    }
    again_in_ = step.again_in;
    ended_ = step.ends;
    co_return std::move(step.text);
  }

 private:
  using clock = std::chrono::steady_clock;

  /// What ends a pause: time, or what has become of the seat, also if it was while nobody paused.
  struct bell {
    explicit bell(executor_type executor) : timer(executor) {}
    void ring() {
      rung = true;
      timer.cancel();
    }

    boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type> timer;
    bool rung = false;
  };

  weir::room_stream::step looked() {
    try {
      return stream_.next();
    } catch (const std::bad_alloc&) {
      return {.text = {}, .again_in = {}, .ends = true};
    }
  }

  std::shared_ptr<bell> bell_;
  weir::room_stream stream_;
  weir::duration again_in_{};
  bool ended_ = false;
};

}  // namespace

room_desk::room_desk(std::string name, const room_options& o, const weir::hmac_signer& keys, executor_type executor)
    : store_(o.file.empty() ? nullptr
                            : std::make_unique<weir::sqlite_room_store>(weir::sqlite_room_store_config{.file = o.file})),
      room_(config_of(std::move(name), o), keys, store_.get(), waker_),
      driver_(std::in_place, room_, executor) {}

desk_reply room_desk::of(const weir::room_answer& a) const {
  return {.status = status_of(a.why), .view = a.view, .retry_after = a.retry_after};
}

task<desk_reply> room_desk::join(std::string user) {
  const weir::room_join who{.subject = weir::room_hash(user)};
  const weir::room_answer a = co_await weir::async_join(room_, who, use_task);
  desk_reply r = of(a);
  if (r.status == desk_status::ok) {
    r.token = room_.ticket_for(a.view.seat, who.subject).view();
    r.view = room_.look_at({a.view.seat, who.subject});  // a join tells no place
  }
  co_return r;
}

std::optional<weir::seat_holder> room_desk::holder_in(const request& r) const {
  for (const auto kind : {weir::token_kind::seat, weir::token_kind::pass}) {
    const auto shown = weir::room_credentials_of(r, room_.config().name, kind);
    if (!shown) continue;
    const weir::read_ticket ticket = room_.read(shown->token, kind, shown->bind);
    if (ticket.problem == weir::ticket_problem::none) return ticket.holder;
  }
  return std::nullopt;
}

desk_reply room_desk::look(const request& r) {
  const auto holder = holder_in(r);
  if (!holder) return {.status = desk_status::no_token};
  desk_reply found = of(room_.look(*holder));
  if (found.view.moved_to) found.token = room_.ticket_for(*found.view.moved_to, holder->subject, holder->bind).view();
  return found;
}

task<desk_reply> room_desk::enter(const request& r) {
  const auto holder = holder_in(r);
  if (!holder) co_return desk_reply{.status = desk_status::no_token};
  const weir::room_answer a = co_await weir::async_claim(room_, *holder, use_task);
  desk_reply entered = of(a);
  if (entered.status == desk_status::ok) entered.pass = room_.pass_for(a.view, holder->bind).view();
  co_return entered;
}

boost::json::object room_desk::counters() {
  const weir::room_snapshot s = room_.snapshot();
  const weir::room_totals& t = s.totals;
  return {{"mode", to_string(s.mode)},  {"waiting", s.waiting}, {"offered", s.offered},
          {"active", s.active},         {"joined", t.joined},   {"entered", t.entered},
          {"completed", t.completed},   {"left", t.left},       {"lapsed", t.lapsed},
          {"abandoned", t.abandoned},   {"polls", t.polls},     {"earlyPolls", t.early_polls},
          {"storeError", s.store_error}};
}

void room_desk::end() noexcept { driver_.reset(); }

rooms::rooms(const room_options& o, executor_type executor)
    : executor_(executor),
      keys_(1, key_of(o)),
      concert_("concert", o, keys_, executor),
      flash_("flash", o, keys_, executor),
      handler_({.is_operator = [token = o.operator_token](const weir::http_request& r) { return is_operator(r, token); },
                .secure_cookies = false}) {  // the demo speaks plain HTTP
  handler_.add(concert_.room(), concert_.waker());
  handler_.add(flash_.room(), flash_.waker());
}

task<response> rooms::handle(const request& r) {
  weir::http_request asked = r;
  if (r.method == "HEAD") asked.method = "GET";
  if (r.method == "GET" && weir::room_handler::is_for_stream(asked)) co_return stream(asked);
  // Where a store reports: on a thread of its own.
  auto ask = [this, &asked](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    auto working = std::make_shared<boost::asio::executor_work_guard<executor_type>>(executor_);
    handler_.handle(asked, [this, shared, working](weir::http_response a) {
      boost::asio::post(executor_, [shared, working, a = std::move(a)]() mutable { std::move (*shared)(std::move(a)); });
    });
  };
  weir::http_response a =
      co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<executor_type>&, void(weir::http_response)>(
          std::move(ask), use_task);
  co_return response_of(std::move(a));
}

response rooms::stream(const weir::http_request& r) {
  auto opened = handler_.stream(r);
  if (auto* const refused = std::get_if<weir::http_response>(&opened)) return response_of(std::move(*refused));
  auto& stream = std::get<weir::room_stream>(opened);
  response told = response_of(stream.head());
  told.source = std::make_shared<seat_events>(std::move(stream), executor_);
  return told;
}

void rooms::end() noexcept {
  concert_.end();
  flash_.end();
}

}  // namespace ticketing
