#include <weir/room/sqlite_room_store.hpp>

#include "room_file.hpp"

#include <weir/core/detail/mutex.hpp>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <list>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

namespace weir::inline v0 {
namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds longest_pause{1000};
constexpr std::chrono::milliseconds short_lock{50};  // of somebody else's: then the room is told
constexpr std::chrono::milliseconds long_lock{1000};

std::string boot_of_kernel() {
  std::string id;
  std::getline(std::ifstream{"/proc/sys/kernel/random/boot_id"}, id);
  return id;
}

}  // namespace

struct sqlite_room_store::state {
  enum class reason : std::uint8_t { write, too_many, stop };

  explicit state(sqlite_room_store_config c) : config(std::move(c)) {}

  void work();
  /// Until there is something to write and `due` has come, or anything else is to be done. Fills `group`.
  reason wait(steady::time_point due);
  /// Words: why not. Empty: it is stored, and was told.
  std::string write_group();
  [[nodiscard]] detail::room_file::wall_time wall() const {
    return config.wall_clock ? config.wall_clock() : std::chrono::system_clock::now();
  }

  const sqlite_room_store_config config;
  std::unique_ptr<detail::room_file> file{};  // used by who loads, then by the writer
  listener* to = nullptr;
  std::thread writer{};
  std::list<detail::room_batch> group{};  // the writer's: the next transaction

  detail::mutex mutex{};
  std::condition_variable_any changed{};
  std::list<detail::room_batch> queue WEIR_GUARDED_BY(mutex){};
  std::size_t waiting WEIR_GUARDED_BY(mutex) = 0;  // records, those of `group` too
  bool told WEIR_GUARDED_BY(mutex) = false;        // that they are too many
  bool stopping WEIR_GUARDED_BY(mutex) = false;
};

sqlite_room_store::state::reason sqlite_room_store::state::wait(steady::time_point due) {
  detail::scoped_lock lock{mutex};
  for (;;) {
    const bool too_many = waiting > config.most_waiting;
    if (stopping) break;
    if (too_many && !told) {
      told = true;
      return reason::too_many;
    }
    told = too_many;
    if (group.empty() && queue.empty()) {
      changed.wait(mutex);
    } else if (steady::now() < due) {
      changed.wait_until(mutex, due);
    } else {
      break;
    }
  }
  group.splice(group.end(), queue);
  return stopping ? reason::stop : reason::write;
}

std::string sqlite_room_store::state::write_group() {
  try {
    file->store(group, wall());
  } catch (const std::exception& e) {
    return config.file + ": " + e.what();
  }
  const std::uint64_t upto = group.back().upto;
  std::size_t records = 0;
  for (const auto& batch : group) records += batch.records.size();
  group.clear();
  {
    detail::scoped_lock lock{mutex};
    waiting -= records;
  }
  to->stored(upto);
  return {};
}

void sqlite_room_store::state::work() {
  auto pause = first_pause;
  auto due = steady::time_point::min();
  for (;;) {
    const reason why = wait(due);
    if (why == reason::too_many) {
      to->store_fails(config.file + ": more than " + std::to_string(config.most_waiting) + " records wait to be written");
      continue;
    }
    if (why == reason::stop) {
      if (group.empty()) return;
      file->wait_for_locks(long_lock);
    }
    const std::string problem = write_group();
    if (problem.empty()) {
      pause = first_pause;
      due = steady::time_point::min();
      continue;
    }
    to->store_fails(problem);
    if (why == reason::stop) return;
    due = steady::now() + pause;
    pause = std::min(2 * pause, longest_pause);
  }
}

sqlite_room_store::sqlite_room_store(sqlite_room_store_config config) {
  if (config.file.empty()) throw std::invalid_argument("sqlite_room_store_config.file: must not be empty");
  if (config.sync > room_sync::power) {
    throw std::invalid_argument("sqlite_room_store_config.sync: must be process or power");
  }
  if (config.most_waiting == 0) {
    throw std::invalid_argument("sqlite_room_store_config.most_waiting: must be >= 1, is 0");
  }
  if (config.boot_id.empty()) config.boot_id = boot_of_kernel();
  state_ = std::make_unique<state>(std::move(config));
}

sqlite_room_store::~sqlite_room_store() { stop(); }

room_image sqlite_room_store::load(const room_config& config, time_point now) {
  state& s = *state_;
  try {
    s.file = std::make_unique<detail::room_file>(s.config.file, s.config.sync);
    room_image image = s.file->load(config, s.config.boot_id, now, s.wall());
    s.file->wait_for_locks(short_lock);
    return image;
  } catch (const std::exception& e) {
    s.file.reset();
    throw std::runtime_error("room \"" + config.name + "\": " + s.config.file + ": " + e.what());
  }
}

void sqlite_room_store::start(listener& to) {
  state_->to = &to;
  state_->writer = std::thread{[s = state_.get()] { s->work(); }};
}

void sqlite_room_store::write(std::vector<room_record> records, std::uint64_t upto) {
  std::list<detail::room_batch> batch;
  const std::size_t more = records.size();
  batch.push_back({std::move(records), upto});
  {
    detail::scoped_lock lock{state_->mutex};
    state_->queue.splice(state_->queue.end(), batch);
    state_->waiting += more;
  }
  state_->changed.notify_one();
}

void sqlite_room_store::stop() noexcept {
  if (!state_->writer.joinable()) return;
  {
    detail::scoped_lock lock{state_->mutex};
    state_->stopping = true;
  }
  state_->changed.notify_one();
  state_->writer.join();
  state_->file.reset();
}

}  // namespace weir::inline v0
