#include "room_file.hpp"

#include <weir/room/detail/ended_seats.hpp>
#include <weir/room/lottery_commitment.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <stdexcept>

namespace weir::inline v0::detail {
namespace {

constexpr std::int64_t application = 0x77656972;  // "weir"
constexpr std::int64_t version = 2;
constexpr std::int64_t loads_to_come_back = 16;  // for who joined just before a crash

// `moved` is the new number of a seat that has lapsed, plus 1. Numbers and places have 64 bits and are stored as they are,
// with SQLite's sign. Times are nanoseconds of the steady clock of `boot`; seen_wall is what the wall clock showed at
// `seen`.
constexpr const char* schema = R"(
CREATE TABLE meta (id INTEGER PRIMARY KEY, room TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL, mode INTEGER NOT NULL,
  seed BLOB NOT NULL, loads INTEGER NOT NULL, owner INTEGER NOT NULL, boot TEXT NOT NULL, seen INTEGER NOT NULL, seen_wall INTEGER NOT NULL);
CREATE TABLE lane (room INTEGER, lane INTEGER, reserved INTEGER NOT NULL, tail INTEGER NOT NULL, drawn INTEGER NOT NULL,
  PRIMARY KEY (room, lane)) WITHOUT ROWID;
CREATE TABLE block (room INTEGER, lane INTEGER, k INTEGER, bits BLOB NOT NULL,
  PRIMARY KEY (room, lane, k)) WITHOUT ROWID;
CREATE TABLE unknown (room INTEGER, lane INTEGER, k INTEGER, load INTEGER NOT NULL, bits BLOB NOT NULL,
  PRIMARY KEY (room, lane, k)) WITHOUT ROWID;
CREATE TABLE session (room INTEGER, lane INTEGER, place INTEGER, state INTEGER NOT NULL, id INTEGER NOT NULL,
  bind INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (room, lane, place)) WITHOUT ROWID;
CREATE TABLE ending (room INTEGER, n INTEGER, lane INTEGER NOT NULL, place INTEGER NOT NULL, state INTEGER NOT NULL,
  moved INTEGER NOT NULL, PRIMARY KEY (room, n)) WITHOUT ROWID;
CREATE INDEX ending_of ON ending (room, lane, place);
CREATE TABLE subject (room INTEGER, lane INTEGER, number INTEGER, subject INTEGER NOT NULL, bind INTEGER NOT NULL,
  PRIMARY KEY (room, lane, number)) WITHOUT ROWID;
CREATE TABLE entry (room INTEGER, n INTEGER, at INTEGER NOT NULL, PRIMARY KEY (room, n)) WITHOUT ROWID;
PRAGMA application_id = 0x77656972;
PRAGMA user_version = 2;
)";

std::int64_t count_of(time_point t) noexcept { return t.time_since_epoch().count(); }
time_point time_of(std::int64_t count) noexcept { return time_point{duration{count}}; }
std::int64_t count_of(room_file::wall_time t) noexcept {
  return std::chrono::duration_cast<duration>(t.time_since_epoch()).count();
}

std::int64_t single(sqlite_file& file, const char* sql) {
  std::int64_t value = 0;
  file.each(sql, [&](const sqlite_row& row) { value = row.integer(0); });
  return value;
}

}  // namespace

room_file::room_file(const std::string& path, room_sync sync) : file_(path), sync_(sync) {
  file_.wait_for_locks(std::chrono::seconds{1});
  make_ours();
}

void room_file::make_ours() {
  const auto check = [&] {
    const std::int64_t whose = single(file_, "PRAGMA application_id");
    const std::int64_t which = single(file_, "PRAGMA user_version");
    if (whose == application && which == version) return true;
    if (whose == application) {
      throw std::runtime_error("is a store of rooms of version " + std::to_string(which) + ", and only version " +
                               std::to_string(version) + " is understood here");
    }
    if (whose != 0 || single(file_, "SELECT count(*) FROM sqlite_master") != 0) {
      throw std::runtime_error("is a database of something else");
    }
    return false;
  };
  const bool ours = check();
  file_.run("PRAGMA journal_mode = WAL");
  file_.run("PRAGMA synchronous = FULL");
  if (ours) return;
  sqlite_change change{file_};
  if (check()) return;  // somebody else was faster
  file_.script(schema);
  change.commit();
}

room_image room_file::load(const room_config& config, const std::string& boot, time_point now, wall_time wall) {
  began_ = seen_ = now;
  began_really_ = std::chrono::steady_clock::now();
  per_ = config.admit ? config.admit->per : duration{};
  // More than these no limit can ask for: see admission_pace.
  most_entries_ = config.admit ? std::min<std::uint64_t>(config.admit->permits, 1'000'000) : 0;
  forget_change();
  room_image image;
  const lottery_seed drawn = random_seed();
  std::copy_n(drawn.begin(), sizeof owner_, reinterpret_cast<std::uint8_t*>(&owner_));

  file_.run("PRAGMA synchronous = FULL");  // the seed may be published next
  sqlite_change change{file_};
  if (!find(config, image)) {
    create(config, image);
  } else if (boot.empty() || boot_ != boot) {
    translate(now, wall);
  }
  file_.run("UPDATE meta SET loads = ?, owner = ?, boot = ?, seen = ?, seen_wall = ? WHERE id = ?", ++load_, owner_, boot,
            count_of(now), count_of(wall), room_);
  read_lanes(config, image);
  leave_unknown(image);
  read_lanes(config, image);
  read_seats(image);
  read_entries(now, image);
  change.commit();

  boot_ = boot;
  seed_ = image.seed;
  if (sync_ == room_sync::process) file_.run("PRAGMA synchronous = NORMAL");
  return image;
}

bool room_file::find(const room_config& config, room_image& into) {
  bool known = false;
  file_.each(
      "SELECT id, epoch, mode, seed, boot, loads FROM meta WHERE room = ?",
      [&](const sqlite_row& row) {
        known = true;
        room_ = row.integer(0);
        into.epoch = static_cast<std::uint32_t>(row.integer(1));
        into.mode = static_cast<room_mode>(row.byte(2));
        row.array(3, into.seed);
        boot_ = row.text(4);
        load_ = row.integer(5);
      },
      config.name);
  return known;
}

void room_file::create(const room_config& config, room_image& into) {
  into.epoch = random_epoch();
  into.mode = config.opens_at ? room_mode::prequeue : room_mode::open;
  into.seed = random_seed();
  file_.run("INSERT INTO meta VALUES (NULL, ?, ?, ?, ?, 0, 0, '', 0, 0)", config.name, std::uint64_t{into.epoch},
            static_cast<std::uint8_t>(into.mode), into.seed);
  into.seed = {};
  if (!find(config, into)) throw std::runtime_error("the file is damaged: it forgets");
}

// What was at `seen` is now, but for the time that the wall clock says has passed since; that never makes anything longer.
void room_file::translate(time_point now, wall_time wall) {
  time_point seen{};
  duration away{};
  file_.each(
      "SELECT seen, seen_wall FROM meta WHERE id = ?",
      [&](const sqlite_row& row) {
        seen = time_of(row.integer(0));
        away = std::max(elapsed(time_of(row.integer(1)), time_of(count_of(wall))), duration::zero());
      },
      room_);
  struct moved {
    std::uint8_t lane;
    std::uint64_t place;
    time_point since, until;
  };
  const auto there = [&](std::int64_t at) { return later(later(now, elapsed(seen, time_of(at))), -away); };
  std::vector<moved> all;
  file_.each(
      "SELECT lane, place, since, until FROM session WHERE room = ?",
      [&](const sqlite_row& row) {
        const bool endless = time_of(row.integer(3)) == never;
        all.push_back({row.byte(0), row.bits(1), std::min(there(row.integer(2)), now),
                       endless ? never : std::max(there(row.integer(3)), now)});
      },
      room_);
  for (const moved& m : all) {
    file_.run("UPDATE session SET since = ?, until = ? WHERE room = ? AND lane = ? AND place = ?", count_of(m.since),
              count_of(m.until), room_, m.lane, m.place);
  }
  file_.run("UPDATE entry SET at = ? WHERE room = ?", count_of(now), room_);
}

void room_file::read_lanes(const room_config& config, room_image& into) {
  into.lanes.assign(config.lanes.size(), {});
  std::uint8_t i = 0;
  for (room_image::lane& l : into.lanes) {
    file_.each(
        "SELECT reserved, tail, drawn FROM lane WHERE room = ? AND lane = ?",
        [&](const sqlite_row& row) {
          l.reserved = row.bits(0);
          l.tail = row.bits(1);
          l.drawn = row.bits(2);
        },
        room_, i);
    reserved_[i] = l.reserved;
    read_blocks(i++, l);
  }
  // Who may take its old place again must find it.
  const auto keep = [&](const sqlite_row& row) {
    if (row.byte(0) >= into.lanes.size()) return;
    room_image::lane& l = into.lanes[row.byte(0)];
    l.head = std::min(l.head, row.bits(1));
  };
  for (room_image::lane& l : into.lanes) {
    if (!l.unknown.empty()) l.head = std::min(l.head, l.unknown.front().first);
  }
  if (config.lapsed == after_lapse::requeue_front) {
    file_.each("SELECT lane, place FROM session WHERE room = ?", keep, room_);
  }
  file_.each("SELECT lane, place FROM ending WHERE room = ? AND state = ?", keep, room_,
             static_cast<std::uint8_t>(seat_state::abandoned));
}

void room_file::leave_unknown(const room_image& image) {
  file_.run("DELETE FROM unknown WHERE room = ? AND load <= ?", room_, load_ - loads_to_come_back);
  std::uint8_t i = 0;
  for (const room_image::lane& l : image.lanes) {
    for (std::uint64_t place = l.tail; place < l.reserved; ++place) {
      set_gone(i, place, true);
      unknown_of(i, place)[place % rank_index::block_size / 64] |= std::uint64_t{1} << place % 64;
    }
    if (l.tail < l.reserved) lane(i).tail = l.reserved;
    ++i;
  }
  write_change();
}

void room_file::read_blocks(std::uint8_t lane, room_image::lane& into) {
  bool whole = true;  // all places of all blocks so far are gone
  file_.each(
      "SELECT k, bits FROM block WHERE room = ? AND lane = ? ORDER BY k",
      [&](const sqlite_row& row) {
        const std::uint64_t first = row.bits(0) * rank_index::block_size;
        block b;
        row.array(1, b);
        into.gone.emplace_back(first, b);
        std::uint64_t live = 0, last = 0;
        for (std::uint64_t w = b.size(); w-- > 0;) {
          if (last == 0 && b[w] != 0) last = first + w * 64 + static_cast<std::uint64_t>(std::bit_width(b[w]));
          if (~b[w] != 0) live = first + w * 64 + static_cast<std::uint64_t>(std::countr_one(b[w])) + 1;
        }
        into.tail = std::max(into.tail, last);  // who is known to have gone had come
        if (!whole || first != into.head) {
          whole = false;
          return;
        }
        whole = live == 0;
        into.head = whole ? first + rank_index::block_size : live - 1;
      },
      room_, lane);
  file_.each(
      "SELECT k, bits FROM unknown WHERE room = ? AND lane = ? ORDER BY k",
      [&](const sqlite_row& row) {
        into.unknown.emplace_back(row.bits(0) * rank_index::block_size, block{});
        row.array(1, into.unknown.back().second);
      },
      room_, lane);
}

void room_file::read_seats(room_image& into) {
  file_.each(
      "SELECT lane, place, state, id, bind, since, until FROM session WHERE room = ?",
      [&](const sqlite_row& row) {
        into.sessions.push_back({row.byte(0), row.bits(1), static_cast<seat_state>(row.byte(2)), row.bits(3), row.bits(4),
                                 time_of(row.integer(5)), time_of(row.integer(6))});
      },
      room_);
  file_.each(
      "SELECT lane, place, state, moved FROM ending WHERE room = ? ORDER BY n",
      [&](const sqlite_row& row) {
        into.endings.push_back({row.byte(0), row.bits(1), static_cast<seat_state>(row.byte(2))});
        if (row.bits(3) != 0) into.endings.back().moved_to = seat_id{row.byte(0), row.bits(3) - 1};
      },
      room_);
  file_.each(
      "SELECT subject, lane, number, bind FROM subject WHERE room = ?",
      [&](const sqlite_row& row) { into.subjects.push_back({row.bits(0), {row.byte(1), row.bits(2)}, row.bits(3)}); },
      room_);
}

void room_file::read_entries(time_point now, room_image& into) {
  if (most_entries_ == 0) return;
  file_.each(
      "SELECT at FROM entry WHERE room = ? ORDER BY n",
      [&](const sqlite_row& row) {
        const time_point at = std::min(time_of(row.integer(0)), now);
        if (later(at, per_) > now) into.entries.push_back(at);
      },
      room_);
}

}  // namespace weir::inline v0::detail
