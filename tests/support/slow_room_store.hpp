#pragma once
// A store of a room that is as slow as its test wants it to be.

#include <weir/room/room_store.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::testing_support {

/// Tells what it was given only when it is asked to.
class slow_store final : public weir::room_store {
 public:
  weir::room_image load(const weir::room_config& config, weir::time_point) override {
    return {.epoch = 7, .mode = config.opens_at ? weir::room_mode::prequeue : weir::room_mode::open};
  }
  void start(listener& to) override { to_ = &to; }
  void write(std::vector<weir::room_record> records, std::uint64_t upto) override {
    records_ += records.size();
    upto_ = upto;
  }
  void stop() noexcept override { stopped_ = true; }

  void commit() { to_->stored(upto_); }
  void fail() { to_->store_fails("disk full"); }
  [[nodiscard]] std::size_t records() const { return records_; }

 private:
  listener* to_ = nullptr;
  std::size_t records_ = 0;
  std::uint64_t upto_ = 0;
  bool stopped_ = false;
};

}  // namespace weir::testing_support
