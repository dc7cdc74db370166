#include <weir/room/seat_token.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>

namespace {

using namespace weir;

/// Easy to forge, and good enough to see what is signed.
struct toy_signer {
  std::uint8_t current = 7;
  std::set<std::uint8_t> known{7};

  [[nodiscard]] std::uint8_t current_key() const noexcept { return current; }
  bool sign(std::uint8_t key, std::span<const std::uint8_t> message, seat_mac& mac) const noexcept {
    if (!known.contains(key)) return false;
    std::uint64_t sum = 0xcbf29ce484222325 + key;
    for (std::size_t i = 0; i < mac.size(); ++i) {
      for (const std::uint8_t b : message) sum = (sum ^ b) * 0x100000001b3;
      mac[i] = static_cast<std::uint8_t>(sum >> 32);
    }
    return true;
  }
};

token_claims some_claims() {
  return {.kind = token_kind::seat,
          .lane = 3,
          .epoch = 0x01020304,
          .number = 0x1112131415161718,
          .at = 0x21222324,
          .about = 0x3132333435363738,
          .bind = 0x4142434445464748};
}

std::string with(std::string text, std::size_t at, char c) {
  text[at] = c;
  return text;
}

TEST(SeatToken, SaysWhatWasSigned) {
  const toy_signer signer;
  for (const token_kind kind : {token_kind::seat, token_kind::pass}) {
    token_claims claims = some_claims();
    claims.kind = kind;
    const seat_token token = make_token(signer, "tickets", claims);
    EXPECT_EQ(token.view().find_first_not_of(detail::base64url), std::string_view::npos) << token.view();
    token_claims found;
    EXPECT_EQ(read_token(signer, "tickets", token.view(), found), token_problem::none);
    EXPECT_EQ(found, claims);
  }
}

TEST(SeatToken, HasTheLayoutThatIsDocumented) {
  const toy_signer signer;
  const seat_token token = make_token(signer, "tickets", some_claims());
  // 11 07 03 01020304 1112131415161718 21222324 3132333435363738 41... in base64url.
  EXPECT_EQ(token.view().substr(0, 46), "EQcDAQIDBBESExQVFhcYISIjJDEyMzQ1Njc4QUJDREVGR0");
}

TEST(SeatToken, NothingElseIsAToken) {
  const toy_signer signer;
  const std::string good{make_token(signer, "tickets", some_claims()).view()};
  const token_claims before{.number = 99};
  const auto problem = [&](const std::string& text, std::string_view room = "tickets") {
    token_claims claims = before;
    const token_problem p = read_token(signer, room, text, claims);
    if (p != token_problem::none) {
      EXPECT_EQ(claims, before) << "left alone";
    }
    return p;
  };
  ASSERT_EQ(problem(good), token_problem::none);
  EXPECT_EQ(problem(""), token_problem::malformed);
  EXPECT_EQ(problem(good.substr(1)), token_problem::malformed);
  EXPECT_EQ(problem(good + "A"), token_problem::malformed);
  EXPECT_EQ(problem(good + std::string(1'000'000, 'A')), token_problem::malformed);
  EXPECT_EQ(problem(with(good, 10, '+')), token_problem::malformed) << "of the other alphabet";
  EXPECT_EQ(problem(with(good, 10, '=')), token_problem::malformed);
  EXPECT_EQ(problem(with(good, 67, '\0')), token_problem::malformed);
  EXPECT_EQ(problem(with(good, 3, '\xff')), token_problem::malformed);
  EXPECT_EQ(problem(with(good, 0, 'I')), token_problem::version) << "version 2";
  EXPECT_EQ(problem(with(good, 1, 'w')), token_problem::version) << "no such kind";
  EXPECT_EQ(problem(with(good, 2, 'k')), token_problem::unknown_key);
  EXPECT_EQ(problem(good, "ticket"), token_problem::forged) << "of another room";
  EXPECT_EQ(problem(good, ""), token_problem::forged);
}

TEST(SeatToken, EveryBitCounts) {
  toy_signer signer;
  for (int key = 0; key < 256; ++key) signer.known.insert(static_cast<std::uint8_t>(key));
  const std::string good{make_token(signer, "tickets", some_claims()).view()};
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const char other : detail::base64url) {
      if (other == good[i]) continue;
      token_claims claims;
      ASSERT_NE(read_token(signer, "tickets", with(good, i, other), claims), token_problem::none) << i << ' ' << other;
    }
  }
}

TEST(SeatToken, ANameAndAFieldCannotBeShiftedIntoEachOther) {
  // What is signed for two rooms differs, whatever their names are.
  const detail::token_data payload{};
  std::set<std::string> messages;
  for (const std::string& room :
       {std::string{}, std::string{"a"}, std::string{"ab"}, std::string(1, '\0'), std::string(255, 'x')}) {
    const detail::token_message m{room, payload.data()};
    messages.emplace(m.view().begin(), m.view().end());
  }
  EXPECT_EQ(messages.size(), 5u);
}

TEST(SeatToken, ArbitraryTextIsNeverAccepted) {
  const toy_signer signer;
  random_stream random{1, "tokens"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random.below(4) == 0 ? random.below(100) : seat_token::length, ' ');
    for (char& c : text) {
      c = random.below(50) == 0 ? static_cast<char>(random()) : detail::base64url[random.below(64)];
    }
    if (text.size() > 2) text.replace(0, 2, "EQ");  // the version, and half of the key
    token_claims claims;
    ASSERT_NE(read_token(signer, "tickets", text, claims), token_problem::none) << text;
  }
}

}  // namespace
