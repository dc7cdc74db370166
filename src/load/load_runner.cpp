#include "load_runner.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <exception>

namespace weir::load {

using scenario::executor;

load_runner::load_runner(surroundings& around, const scenario::load& load, const scenario::journey& journey,
                         std::uint64_t seed, std::uint64_t first_number, std::function<void()> done)
    : around_(around),
      load_(load),
      journey_(journey),
      plan_(scenario::rate_profile{load}, load.arrivals, random_stream{seed, "arrivals/" + load.name}),
      first_number_(first_number),
      done_(std::move(done)),
      length_(scenario::length_of(load)),
      wake_(around.io),
      end_(around.io) {}

std::uint64_t load_runner::vus_max() const noexcept {
  if (is_open_loop(load_.executor)) return load_.max_vus;
  std::uint64_t most = load_.vus;
  for (const scenario::stage& s : load_.stages) most = std::max(most, static_cast<std::uint64_t>(s.target));
  return most;
}

void load_runner::start() {
  if (is_open_loop(load_.executor)) {
    spawn(arrive());
  } else {
    looping_.resize(vus_max());
    spawn(follow_stages());
  }
  boost::asio::co_spawn(around_.io, end_at(length_), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
}

void load_runner::stop() {
  stopped_ = true;
  length_ = std::min(length_, around_.now());
  wake_.cancel();
  if (!ending_) end_.cancel();  // from here on it is graceful_stop that runs
}

void load_runner::interrupt() {
  stop();
  for (virtual_user& user : users_) user.interrupt();
}

void load_runner::spawn(task<void> work) {
  ++tasks_;
  boost::asio::co_spawn(around_.io, std::move(work), [this](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
    if (--tasks_ == 0) {
      // A counting executor's length is only a bound.
      if (load_.executor == executor::shared_iterations || load_.executor == executor::per_vu_iterations) stop();
      stopped_ = true;
      end_.cancel();
      done_();
    }
  });
}

void load_runner::enter() noexcept { busy_peak_ = std::max(busy_peak_, ++busy_); }

task<bool> load_runner::sleep_until(duration at) {
  if (!stopped_ && around_.now() < at) {
    wake_.expires_at(around_.clock.at(at));
    boost::system::error_code ec;
    co_await wake_.async_wait(boost::asio::redirect_error(use_task, ec));
  }
  co_return !stopped_;
}

task<void> load_runner::arrive() {
  constexpr int most_in_a_row = 64;
  int in_a_row = 0;
  while (const auto at = plan_.next()) {
    const bool was_due = around_.now() >= *at;
    const bool goes_on = co_await sleep_until(*at);
    if (!goes_on) {
      drop_overdue(at);
      break;
    }
    begin(*at);
    // Behind schedule: catch up, but let answers in.
    in_a_row = was_due ? in_a_row + 1 : 0;
    if (in_a_row % most_in_a_row == most_in_a_row - 1) co_await boost::asio::post(around_.io, use_task);
  }
}

void load_runner::begin(duration intended) {
  around_.record.intended(intended);
  virtual_user* user = free_user();
  if (user == nullptr) {
    around_.record.dropped(intended);
    return;
  }
  enter();
  spawn(run_once(*user, intended));
}

void load_runner::drop_overdue(std::optional<duration> next) {
  for (const duration now = around_.now(); next && *next <= now; next = plan_.next()) {
    around_.record.intended(*next);
    around_.record.dropped(*next);
  }
}

virtual_user* load_runner::free_user() {
  if (!free_.empty()) {
    virtual_user* user = free_.back();
    free_.pop_back();
    return user;
  }
  if (users_.size() >= load_.max_vus) return nullptr;
  return &users_.emplace_back(around_, first_number_ + users_.size());
}

task<void> load_runner::run_once(virtual_user& user, duration intended) {
  co_await user.run(journey_, intended, begun_++);
  --busy_;
  free_.push_back(&user);
}

bool load_runner::may_begin(std::uint64_t place, std::uint64_t begun) const noexcept {
  if (stopped_) return false;
  switch (load_.executor) {
    case executor::ramping_vus: return place < scenario::vus_at(load_, around_.now());
    case executor::shared_iterations: return begun_ < load_.iterations;
    case executor::per_vu_iterations: return begun < load_.iterations;
    default: return true;
  }
}

task<void> load_runner::loop(virtual_user& user, std::uint64_t place) {
  enter();
  for (std::uint64_t begun = 0; may_begin(place, begun); ++begun) {
    // In a closed loop the journey is intended when the user is ready: the server decides the load.
    const duration intended = around_.now();
    around_.record.intended(intended);
    co_await user.run(journey_, intended, begun_++);
  }
  --busy_;
  looping_[place] = false;
}

task<void> load_runner::follow_stages() {
  using namespace std::chrono_literals;
  constexpr duration step = 50ms;  // k6 changes the number of VUs as finely as that in ordinary scripts
  for (duration at{};; at += step) {
    const std::uint64_t wanted =
        load_.executor == executor::ramping_vus ? scenario::vus_at(load_, at) : std::uint64_t{load_.vus};
    for (std::uint64_t place = 0; place < std::min<std::uint64_t>(wanted, looping_.size()); ++place) {
      if (looping_[place] || stopped_) continue;
      while (users_.size() <= place) users_.emplace_back(around_, first_number_ + users_.size());
      looping_[place] = true;
      spawn(loop(users_[place], place));
    }
    if (load_.executor != executor::ramping_vus) break;
    const bool goes_on = co_await sleep_until(at + step);
    if (!goes_on) break;
  }
}

task<void> load_runner::end_at(duration at) {
  boost::system::error_code ec;
  if (!stopped_) {
    end_.expires_at(around_.clock.at(at));
    co_await end_.async_wait(boost::asio::redirect_error(use_task, ec));
  }
  ending_ = true;
  // Arrivals end by their plan: one that is due at the last instant must not be cut off by this timer.
  if (!is_open_loop(load_.executor)) {
    stopped_ = true;
    wake_.cancel();
  }
  if (tasks_ == 0) co_return;
  end_.expires_after(around_.clock.on_wall(load_.graceful_stop));
  co_await end_.async_wait(boost::asio::redirect_error(use_task, ec));
  if (!ec && tasks_ > 0) interrupt();
}

}  // namespace weir::load
