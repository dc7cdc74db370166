// How the records of a room change its file.
#include "room_file.hpp"

#include <weir/room/detail/ended_seats.hpp>

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace weir::inline v0::detail {
namespace {

std::int64_t count_of(time_point t) noexcept { return t.time_since_epoch().count(); }

}  // namespace

void room_file::store(const std::list<room_batch>& batches, wall_time wall) {
  forget_change();
  const bool reserving = reserves(batches);
  // A number that power loss made us forget would be given out again.
  const bool harder = reserving && sync_ == room_sync::process;
  if (harder) file_.run("PRAGMA synchronous = FULL");
  seen_ = std::max(seen_, later(began_, std::chrono::steady_clock::now() - began_really_));
  {
    sqlite_change change{file_};
    for (const room_batch& batch : batches) {
      for (const room_record& r : batch.records) apply(r);
    }
    write_change();
    prune();
    file_.run("UPDATE meta SET seen = ?, seen_wall = ? WHERE id = ? AND owner = ?", count_of(seen_),
              std::chrono::duration_cast<duration>(wall.time_since_epoch()).count(), room_, owner_);
    if (file_.changed() != 1) throw std::runtime_error("somebody else has loaded this room, and owns it now");
    change.commit();
  }
  for (const auto& [i, row] : lanes_) reserved_[i] = row.reserved;
  if (harder) file_.run("PRAGMA synchronous = NORMAL");
}

bool room_file::reserves(const std::list<room_batch>& batches) const {
  for (const room_batch& batch : batches) {
    for (const room_record& r : batch.records) {
      if (r.what != room_record::kind::numbers) continue;
      const auto known = reserved_.find(r.lane);
      if (known == reserved_.end() || known->second < r.number) return true;
    }
  }
  return false;
}

room_file::lane_row& room_file::lane(std::uint8_t i) {
  const auto [found, fresh] = lanes_.try_emplace(i);
  lane_row& l = found->second;
  if (fresh) {
    file_.each(
        "SELECT reserved, tail, drawn FROM lane WHERE room = ? AND lane = ?",
        [&](const sqlite_row& row) { l = {row.bits(0), row.bits(1), row.bits(2)}; }, room_, i);
  }
  return l;
}

room_file::block& room_file::block_of(std::uint8_t lane, std::uint64_t place) {
  const std::uint64_t k = place / rank_index::block_size;
  const auto [found, fresh] = blocks_.try_emplace({lane, k});
  block& b = found->second;
  if (fresh) {
    b.fill(0);
    file_.each(
        "SELECT bits FROM block WHERE room = ? AND lane = ? AND k = ?", [&](const sqlite_row& row) { row.array(0, b); },
        room_, lane, k);
  }
  return b;
}

room_file::block& room_file::unknown_of(std::uint8_t lane, std::uint64_t place) {
  const std::uint64_t k = place / rank_index::block_size;
  const auto [found, fresh] = unknown_.try_emplace({lane, k});
  block& b = found->second;
  if (fresh) {
    b.fill(0);
    file_.each(
        "SELECT bits FROM unknown WHERE room = ? AND lane = ? AND k = ?", [&](const sqlite_row& row) { row.array(0, b); },
        room_, lane, k);
  }
  return b;
}

void room_file::set_gone(std::uint8_t lane, std::uint64_t place, bool gone) {
  std::uint64_t& word = block_of(lane, place)[place % rank_index::block_size / 64];
  const std::uint64_t bit = std::uint64_t{1} << place % 64;
  word = gone ? word | bit : word & ~bit;
  unknown_of(lane, place)[place % rank_index::block_size / 64] &= ~bit;  // something is known
}

void room_file::apply(const room_record& r) {
  using enum room_record::kind;
  switch (r.what) {
    case numbers: {
      lane_row& l = lane(r.lane);
      l.reserved = std::max(l.reserved, r.number);
      l.tail = std::max(l.tail, r.other);
      break;
    }
    case gone:
      set_gone(r.lane, r.number, true);
      add_ending(r);
      break;
    case back:
      set_gone(r.lane, r.number, false);
      file_.run("DELETE FROM session WHERE room = ? AND lane = ? AND place = ?", room_, r.lane, r.number);
      file_.run("DELETE FROM ending WHERE room = ? AND lane = ? AND place = ?", room_, r.lane, r.number);
      break;
    case offered:
    case entered: {
      set_gone(r.lane, r.number, true);
      const auto state = r.what == entered ? seat_state::active : seat_state::offered;
      const bool named = r.what == entered;
      file_.run("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?)", room_, r.lane, r.number,
                static_cast<std::uint8_t>(state), named ? r.other : 0, named ? r.bind : 0, count_of(r.at),
                count_of(r.until));
      seen_ = std::max(seen_, r.at);
      if (named) add_entry(r.at);
      break;
    }
    case renewed:
      file_.run("UPDATE session SET until = ? WHERE room = ? AND lane = ? AND place = ?", count_of(r.until), room_, r.lane,
                r.number);
      break;
    case ended:
      file_.run("DELETE FROM session WHERE room = ? AND lane = ? AND place = ?", room_, r.lane, r.number);
      add_ending(r);
      break;
    case opened: draw(r.lane, r.number); break;
    case subject:
      file_.run("INSERT OR REPLACE INTO subject VALUES (?, ?, ?, ?, ?)", room_, r.lane, r.number, r.other, r.bind);
      break;
    case mode: file_.run("UPDATE meta SET mode = ? WHERE id = ?", r.other, room_); break;
    case limit:
      most_entries_ = std::max(most_entries_, std::min<std::uint64_t>(r.number, 1'000'000));
      per_ = std::max(per_, duration{static_cast<duration::rep>(r.other)});
      break;
  }
}

void room_file::add_ending(const room_record& r) {
  if (next_ending_ == 0) {
    file_.each(
        "SELECT max(n) FROM ending WHERE room = ?", [&](const sqlite_row& row) { next_ending_ = row.bits(0) + 1; }, room_);
  }
  file_.run("DELETE FROM ending WHERE room = ? AND lane = ? AND place = ?", room_, r.lane, r.number);
  file_.run("INSERT INTO ending VALUES (?, ?, ?, ?, ?, ?)", room_, next_ending_, r.lane, r.number,
            static_cast<std::uint8_t>(r.state), r.what == room_record::kind::ended ? r.other : 0);
  ++next_ending_;
}

void room_file::add_entry(time_point at) {
  if (most_entries_ == 0) return;
  if (next_entry_ == 0) {
    file_.each(
        "SELECT max(n) FROM entry WHERE room = ?", [&](const sqlite_row& row) { next_entry_ = row.bits(0) + 1; }, room_);
  }
  file_.run("INSERT INTO entry VALUES (?, ?, ?)", room_, next_entry_, count_of(at));
  ++next_entry_;
  last_entry_ = at;
}

// Who came before the opening gets a place for its number.
void room_file::draw(std::uint8_t which, std::uint64_t n) {
  lane(which).drawn = n;
  write_blocks();
  const lottery drawn{seed_, n};
  const auto drawn_places = [&](const char* sql) {
    std::vector<std::uint64_t> places;
    file_.each(
        sql,
        [&](const sqlite_row& row) {
          block b;
          row.array(1, b);
          for (std::size_t w = 0; w < b.size(); ++w) {
            for (std::uint64_t bits = b[w]; bits != 0; bits &= bits - 1) {
              places.push_back(drawn.rank_of(row.bits(0) * rank_index::block_size + w * 64 +
                                             static_cast<std::uint64_t>(std::countr_zero(bits))));
            }
          }
        },
        room_, which);
    return places;
  };
  const auto gone = drawn_places("SELECT k, bits FROM block WHERE room = ? AND lane = ?");
  const auto unknown = drawn_places("SELECT k, bits FROM unknown WHERE room = ? AND lane = ?");
  file_.run("DELETE FROM block WHERE room = ? AND lane = ?", room_, which);
  file_.run("DELETE FROM unknown WHERE room = ? AND lane = ?", room_, which);
  for (const std::uint64_t place : gone) set_gone(which, place, true);
  for (const std::uint64_t place : unknown) {
    unknown_of(which, place)[place % rank_index::block_size / 64] |= std::uint64_t{1} << place % 64;
  }

  std::vector<std::pair<std::uint64_t, std::uint64_t>> endings;
  file_.each(
      "SELECT n, place FROM ending WHERE room = ? AND lane = ?",
      [&](const sqlite_row& row) { endings.emplace_back(row.bits(0), drawn.rank_of(row.bits(1))); }, room_, which);
  for (const auto& [number, place] : endings) {
    file_.run("UPDATE ending SET place = ? WHERE room = ? AND n = ?", place, room_, number);
  }
}

void room_file::write_change() {
  for (const auto& [i, l] : lanes_) {
    file_.run("INSERT OR REPLACE INTO lane VALUES (?, ?, ?, ?, ?)", room_, i, l.reserved, l.tail, l.drawn);
  }
  write_blocks();
}

void room_file::forget_change() noexcept {
  lanes_.clear();
  blocks_.clear();
  unknown_.clear();
  next_ending_ = next_entry_ = 0;
}

void room_file::write_blocks() {
  for (const auto& [key, bits] : blocks_) {
    file_.run("INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)", room_, key.first, key.second, bits);
  }
  for (const auto& [key, bits] : unknown_) {
    if (std::ranges::none_of(bits, [](std::uint64_t w) { return w != 0; })) {
      file_.run("DELETE FROM unknown WHERE room = ? AND lane = ? AND k = ?", room_, key.first, key.second);
    } else {
      file_.run("INSERT OR REPLACE INTO unknown VALUES (?, ?, ?, ?, ?)", room_, key.first, key.second, load_, bits);
    }
  }
  blocks_.clear();
  unknown_.clear();
}

// What nobody will ask for. A subject is kept for as long as it is known how its seat has ended.
void room_file::prune() {
  if (next_ending_ > ended_seats::most + 1) {
    const std::uint64_t oldest = next_ending_ - ended_seats::most;
    std::vector<block_key> forgotten;
    file_.each(
        "SELECT lane, place FROM ending WHERE room = ? AND n < ?",
        [&](const sqlite_row& row) { forgotten.emplace_back(row.byte(0), row.bits(1)); }, room_, oldest);
    for (const auto& [i, place] : forgotten) {
      const std::uint64_t number = lottery{seed_, lane(i).drawn}.arrival_of(place);
      file_.run("DELETE FROM subject WHERE room = ? AND lane = ? AND number = ?", room_, i, number);
    }
    file_.run("DELETE FROM ending WHERE room = ? AND n < ?", room_, oldest);
  }
  if (next_entry_ != 0) {
    const std::uint64_t oldest = next_entry_ - std::min(next_entry_, most_entries_);
    file_.run("DELETE FROM entry WHERE room = ? AND n < ?", room_, oldest);
    file_.run("DELETE FROM entry WHERE room = ?1 AND n < (SELECT min(n) FROM entry WHERE room = ?1 AND at > ?2)", room_,
              count_of(later(last_entry_, -per_)));
  }
}

}  // namespace weir::inline v0::detail
