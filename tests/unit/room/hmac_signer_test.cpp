#include <weir/room/hmac_signer.hpp>
#include <weir/room/seat_token.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace weir;

std::string hex(const seat_mac& mac) {
  std::string out;
  for (const std::uint8_t b : mac) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
  return out;
}
std::span<const std::uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::string key_of(char c) { return std::string(32, c); }

TEST(HmacSigner, IsTheHmacOfTheStandards) {
  // RFC 4231, test case 7 and 6: keys of 131 bytes; and, computed with `openssl mac`, one of 32.
  const hmac_signer long_key{1, std::string(131, '\xaa')};
  seat_mac mac{};
  EXPECT_TRUE(long_key.sign(1, bytes("Test Using Larger Than Block-Size Key - Hash Key First"), mac));
  EXPECT_EQ(hex(mac), "60e431591ee0b67f0d8a26aacbf5b77f");
  EXPECT_TRUE(long_key.sign(1,
                            bytes("This is a test using a larger than block-size key and a larger than block-size data. "
                                  "The key needs to be hashed before being used by the HMAC algorithm."),
                            mac));
  EXPECT_EQ(hex(mac), "9b09ffa71b942fcb27635fbcd5b0e944");
  const hmac_signer short_key{1, key_of('k')};
  EXPECT_TRUE(short_key.sign(1, {}, mac));
  EXPECT_EQ(hex(mac), "a4ad8e340e32bf1d916005cb1dc92795");
}

TEST(HmacSigner, RefusesKeysThatAreTooShort) {
  try {
    const hmac_signer signer{4, std::string_view{"only a few bytes"}};
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(e.what(), "hmac_signer: key 4 must have at least 32 bytes, has 16");
  }
  hmac_signer signer{4, key_of('a')};
  EXPECT_THROW(signer.add_key(4, bytes(key_of('b'))), std::invalid_argument) << "there is one";
  EXPECT_THROW(signer.add_key(5, {}), std::invalid_argument);
  EXPECT_EQ(signer.current_key(), 4);
}

TEST(HmacSigner, RotatesItsKeys) {
  hmac_signer signer{1, key_of('a')};
  const seat_token old = make_token(signer, "tickets", {.number = 1});
  signer.add_key(2, bytes(key_of('b')));
  EXPECT_EQ(signer.current_key(), 2);
  const seat_token fresh = make_token(signer, "tickets", {.number = 1});
  EXPECT_NE(old.view(), fresh.view());
  token_claims claims;
  EXPECT_EQ(read_token(signer, "tickets", old.view(), claims), token_problem::none) << "both are good";
  EXPECT_EQ(read_token(signer, "tickets", fresh.view(), claims), token_problem::none);
  EXPECT_FALSE(signer.remove_key(2)) << "new tokens are signed with it";
  EXPECT_TRUE(signer.remove_key(1));
  EXPECT_FALSE(signer.remove_key(1));
  EXPECT_EQ(read_token(signer, "tickets", old.view(), claims), token_problem::unknown_key);
  const hmac_signer stranger{2, key_of('c')};
  EXPECT_EQ(read_token(stranger, "tickets", fresh.view(), claims), token_problem::forged);
}

TEST(HmacSigner, ServesThreadsWhileKeysChange) {
  hmac_signer signer{0, key_of('a')};
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t me = 0; me < 4; ++me) {
      threads.emplace_back([&, me] {
        for (std::uint64_t i = 0; i < 300; ++i) {
          const seat_token token = make_token(signer, "tickets", {.number = me << 32 | i});
          token_claims claims;
          if (read_token(signer, "tickets", token.view(), claims) != token_problem::none ||
              claims.number != (me << 32 | i)) {
            ++wrong;
          }
        }
      });
    }
    for (std::uint8_t k = 1; k < 50; ++k) signer.add_key(k, bytes(key_of(static_cast<char>('a' + k))));
  }
  EXPECT_EQ(wrong, 0) << "no key was removed";
}

}  // namespace
