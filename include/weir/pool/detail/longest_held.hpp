#pragma once
/// \file
/// Who has held a connection for longest: the part of a pool's evidence that names names.

#include <weir/pool/detail/slot_table.hpp>
#include <weir/pool/pool_rejection.hpp>

#include <algorithm>
#include <cstring>

namespace weir::inline v0::detail {

/// Of the first 64 places, so that 10,000 waiters that end together cannot make it long.
inline void note_longest_held(const slot_table& table, time_point now, pool_evidence& evidence) noexcept {
  constexpr std::size_t looked_at = 64;
  auto& top = evidence.holders;
  for (std::size_t i = 0, n = std::min(looked_at, table.slots().size()); i < n; ++i) {
    const pool_slot& slot = *table.slots()[i];
    pool_slot::use u;
    if (slot.state() != slot_state::in_use || !slot.read_use(u)) continue;
    pool_evidence::holder found{{}, elapsed(u.since, now)};
    std::memcpy(found.tag, u.tag, sizeof found.tag);
    auto* const end = top.data() + evidence.holder_count;
    auto* const at = std::find_if(top.data(), end, [&](const auto& h) { return h.held < found.held; });
    if (at == top.data() + top.size()) continue;
    if (evidence.holder_count < top.size()) ++evidence.holder_count;
    std::move_backward(at, top.data() + evidence.holder_count - 1, top.data() + evidence.holder_count);
    *at = found;
  }
}

}  // namespace weir::inline v0::detail
