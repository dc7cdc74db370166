#pragma once
// A store of a room that keeps what it was told, applied one by one: what a real one must come to.

#include <weir/room/room_image.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace weir::testing_support {

class recorded_room {
 public:
  using key = std::pair<std::uint8_t, std::uint64_t>;

  void apply(std::span<const room_record> records) {
    for (const auto& r : records) apply(r);
  }
  void apply(const room_record& r) {
    using enum room_record::kind;
    const key k{r.lane, r.number};
    switch (r.what) {
      case numbers:
        reserved_[r.lane] = std::max(reserved_[r.lane], r.number);
        tail_[r.lane] = std::max(tail_[r.lane], r.other);
        break;
      case gone:
        gone_.insert(k);
        see(k);
        std::erase_if(endings_, [&](const auto& e) { return of(e) == k; });
        endings_.push_back({r.lane, r.number, r.state});
        break;
      case back:
        gone_.erase(k);
        see(k);
        sessions_.erase(k);
        std::erase_if(endings_, [&](const auto& e) { return of(e) == k; });
        break;
      case offered:
        gone_.insert(k);
        see(k);
        sessions_[k] = {r.lane, r.number, seat_state::offered, 0, 0, r.at, r.until};
        has_offered_.insert(k);
        break;
      case entered:
        gone_.insert(k);
        see(k);
        sessions_[k] = {r.lane, r.number, seat_state::active, r.other, r.bind, r.at, r.until};
        entries_.push_back(r.at);
        has_entered_.emplace(k, r.other);
        break;
      case renewed:
        if (const auto f = sessions_.find(k); f != sessions_.end()) f->second.until = r.until;
        break;
      case ended:
        sessions_.erase(k);
        endings_.push_back({r.lane, r.number, r.state});
        if (r.other != 0) endings_.back().moved_to = seat_id{r.lane, r.other - 1};
        break;
      case opened: {
        drawn_[r.lane] = r.number;
        const lottery draw{seed, r.number};
        std::set<key> places;
        for (const auto& [lane, number] : gone_) {
          places.emplace(lane, lane == r.lane && number < r.number ? draw.rank_of(number) : number);
        }
        gone_ = std::move(places);
        for (const auto& u : unknown_) {
          for (std::uint64_t n = u.from; u.lane == r.lane && n < u.to; ++n) {
            if (seen_.contains({r.lane, n})) continue;
            gone_.emplace(r.lane, draw.rank_of(n));
            unknown_places_.emplace(r.lane, draw.rank_of(n));
          }
        }
        std::erase_if(unknown_, [&](const unknown_range& u) { return u.lane == r.lane; });
        std::erase_if(seen_, [&](const key& s) { return s.first == r.lane; });
        for (auto& e : endings_) {
          if (e.lane == r.lane) e.place = draw.rank_of(e.place);
        }
        break;
      }
      case subject: subjects_[k] = {r.other, {r.lane, r.number}, r.bind}; break;
      case mode: mode_ = static_cast<room_mode>(r.other); break;
      case limit: break;  // keeps everything
    }
  }

  /// A room begins again: of what was reserved nobody knows how much was given out.
  [[nodiscard]] room_image load(std::size_t lanes) {
    const room_image now = image(lanes);
    for (std::uint8_t i = 0; i < lanes; ++i) {
      const auto& l = now.lanes[i];
      if (l.reserved <= l.tail) continue;
      unknown_.push_back({i, l.tail, l.reserved});
      std::erase_if(seen_, [&](const key& k) { return k.first == i && k.second >= l.tail && k.second < l.reserved; });
      tail_[i] = l.reserved;
    }
    return image(lanes);
  }
  [[nodiscard]] room_image image(std::size_t lanes) const {
    room_image im{.epoch = epoch, .mode = mode_, .seed = seed};
    for (std::uint8_t i = 0; i < lanes; ++i) {
      room_image::lane l;
      if (const auto f = reserved_.find(i); f != reserved_.end()) l.reserved = f->second;
      if (const auto f = tail_.find(i); f != tail_.end()) l.tail = f->second;
      if (const auto f = drawn_.find(i); f != drawn_.end()) l.drawn = f->second;
      std::map<std::uint64_t, std::array<std::uint64_t, 64>> blocks;
      for (const auto& [lane, place] : gone_) {
        if (lane != i) continue;
        blocks[place / 4096 * 4096][place % 4096 / 64] |= std::uint64_t{1} << place % 64;
        if (place >= l.tail) l.tail = place + 1;  // who is known to have gone had come
      }
      std::map<std::uint64_t, std::array<std::uint64_t, 64>> unknown;
      for (const auto& u : unknown_) {
        for (std::uint64_t n = u.from; u.lane == i && n < u.to; ++n) {
          unknown[n / 4096 * 4096][n % 4096 / 64] |= std::uint64_t{1} << n % 64;
        }
      }
      for (const auto& [lane, n] : seen_) {
        if (const auto f = unknown.find(n / 4096 * 4096); lane == i && f != unknown.end()) {
          f->second[n % 4096 / 64] &= ~(std::uint64_t{1} << n % 64);
        }
      }
      for (const auto& [lane, n] : unknown_places_) {
        if (lane == i) unknown[n / 4096 * 4096][n % 4096 / 64] |= std::uint64_t{1} << n % 64;
      }
      for (const auto& [first, bits] : unknown) {
        for (std::size_t w = 0; w < bits.size(); ++w) blocks[first][w] |= bits[w];
        l.unknown.emplace_back(first, bits);
      }
      for (const auto& block : blocks) l.gone.push_back(block);
      im.lanes.push_back(std::move(l));
    }
    for (const auto& [k, s] : sessions_) im.sessions.push_back(s);
    im.endings = endings_;
    for (const auto& [k, s] : subjects_) im.subjects.push_back(s);
    im.entries = entries_;
    return im;
  }
  /// Ever.
  [[nodiscard]] bool knows_offer(const key& k) const { return has_offered_.contains(k); }
  [[nodiscard]] bool knows_entry(const key& k, std::uint64_t session) const { return has_entered_.contains({k, session}); }

  lottery_seed seed{};
  std::uint32_t epoch = 1;

 private:
  static key of(const room_image::ending& e) { return {e.lane, e.place}; }
  void see(const key& k) {
    seen_.insert(k);
    unknown_places_.erase(k);
  }

  std::map<std::uint8_t, std::uint64_t> reserved_, tail_, drawn_;
  struct unknown_range {
    std::uint8_t lane;
    std::uint64_t from, to;
  };
  std::set<key> gone_;
  std::vector<unknown_range> unknown_;
  std::set<key> unknown_places_;  // drawn
  std::set<key> seen_;            // something was said of them
  std::map<key, room_image::session> sessions_;
  std::vector<room_image::ending> endings_;
  std::map<key, room_image::subject> subjects_;  // by seat
  std::vector<time_point> entries_;
  std::set<key> has_offered_;
  std::set<std::pair<key, std::uint64_t>> has_entered_;
  room_mode mode_ = room_mode::open;
};

}  // namespace weir::testing_support
