#include "sha1.hpp"

#include <boost/uuid/detail/sha1.hpp>

namespace weir::inline v0::detail {

std::string sha1(std::string_view text) {
  boost::uuids::detail::sha1 hash;
  hash.process_bytes(text.data(), text.size());
  boost::uuids::detail::sha1::digest_type words{};
  hash.get_digest(words);
  std::string digits;
  for (const auto word : words) {  // five of 32 bits; twenty of eight since Boost 1.86
    for (int shift = 8 * static_cast<int>(sizeof word) - 4; shift >= 0; shift -= 4)
      digits += "0123456789abcdef"[word >> shift & 15];
  }
  return digits;
}

}  // namespace weir::inline v0::detail
