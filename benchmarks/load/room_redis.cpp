// A waiting room beside what is written by hand: a sorted set in Redis (ZADD with a sequence, ZRANK, ZPOPMIN), over a unix
// socket, on a server that this program starts. In turn, in one run.

#include "options.hpp"

#include "support/redis_server.hpp"

#include <weir/core/default_clock.hpp>
#include <weir/core/random.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/room/waiting_room.hpp>

#include <hiredis/hiredis.h>
#include <malloc.h>

#include <malloc.h>
#include <array>
#include <chrono>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using clock_type = weir::default_clock;

struct settings {
  double users = 1'000'000;
  double pipeline = 100;
  double rounds = 5;
};

/// Of the heap, in use. What is resident says nothing where memory is used a second time.
double allocated_bytes() {
  const auto heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

/// Thousands per second.
double rate(double n, weir::duration took) { return n / std::chrono::duration<double>(took).count() / 1000; }

class redis {
 public:
  explicit redis(const std::string& socket) : context_(redisConnectUnix(socket.c_str()), &redisFree) {
    if (context_ == nullptr || context_->err != 0) throw std::runtime_error{"Redis does not accept connections"};
  }

  template <class... Args>
  void send(const char* format, Args... args) {
    if (redisAppendCommand(context_.get(), format, args...) != REDIS_OK) throw std::runtime_error{context_->errstr};
  }
  long long receive() {
    void* answer = nullptr;
    if (redisGetReply(context_.get(), &answer) != REDIS_OK) throw std::runtime_error{context_->errstr};
    const std::unique_ptr<void, void (*)(void*)> owner{answer, &freeReplyObject};
    const auto* reply = static_cast<const redisReply*>(answer);
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error{reply->str};
    return reply->integer;
  }
  long long used_memory() {
    const std::unique_ptr<void, void (*)(void*)> owner{redisCommand(context_.get(), "INFO memory"), &freeReplyObject};
    const std::string text = static_cast<const redisReply*>(owner.get())->str;
    return std::stoll(text.substr(text.find("used_memory:") + 12));
  }

 private:
  std::unique_ptr<redisContext, void (*)(redisContext*)> context_;
};

/// Tokens as people make them: a UUID's 36 characters.
std::string uuid(std::uint64_t i) {
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "%08x-%04x-4%03x-8%03x-%012llx", static_cast<unsigned>(i * 2654435761U),
                static_cast<unsigned>(i % 65536), static_cast<unsigned>(i % 4096), static_cast<unsigned>(i / 7 % 4096),
                static_cast<unsigned long long>(i) * 11400714819323198485ULL >> 16);
  return text.data();
}

struct numbers {
  double joins = 0, ranks = 0, admissions = 0;  // thousands per second
  double bytes = 0;                             // for each who waits
};

numbers of_redis(const std::string& socket, const settings& s) {
  const clock_type clock;
  redis server{socket};
  server.send("FLUSHALL");
  (void)server.receive();
  const auto users = static_cast<std::uint64_t>(s.users);
  const auto batch = static_cast<std::uint64_t>(s.pipeline);
  const long long before = server.used_memory();
  numbers n;
  auto begin = clock.now();
  for (std::uint64_t i = 0; i < users; i += batch) {
    const std::uint64_t end = std::min(users, i + batch);
    for (std::uint64_t k = i; k < end; ++k) {
      server.send("ZADD q NX %llu %s", static_cast<unsigned long long>(k), uuid(k).c_str());
    }
    for (std::uint64_t k = i; k < end; ++k) (void)server.receive();
  }
  n.joins = rate(s.users, clock.now() - begin);
  n.bytes = static_cast<double>(server.used_memory() - before) / s.users;
  weir::random_stream random{1, "ranks"};
  const std::uint64_t asked = std::min<std::uint64_t>(users, 200'000) / batch * batch;
  begin = clock.now();
  for (std::uint64_t i = 0; i < asked; i += batch) {
    for (std::uint64_t k = 0; k < batch; ++k) server.send("ZRANK q %s", uuid(random.below(users)).c_str());
    for (std::uint64_t k = 0; k < batch; ++k) (void)server.receive();
  }
  n.ranks = rate(static_cast<double>(asked), clock.now() - begin);
  begin = clock.now();
  for (std::uint64_t i = 0; i < users / 2; i += 1000) {
    server.send("ZPOPMIN q 1000");
    (void)server.receive();
  }
  n.admissions = rate(s.users / 2, clock.now() - begin);
  return n;
}

numbers of_weir(const settings& s) {
  const clock_type clock;
  const weir::hmac_signer keys{1, std::string(32, 'k')};
  weir::room_config config;
  config.capacity = 100'000'000;
  config.manual = true;
  const auto users = static_cast<std::uint64_t>(s.users);
  const double before = allocated_bytes();
  weir::waiting_room<weir::hmac_signer> room{config, keys};
  numbers n;
  auto begin = clock.now();
  for (std::uint64_t i = 0; i < users; ++i) {
    weir::room_request r;
    (void)room.join(r, {});
    if (room.ticket_for(r.answer.view.seat).view().empty()) throw std::runtime_error{"no ticket"};
  }
  n.joins = rate(s.users, clock.now() - begin);
  n.bytes = (allocated_bytes() - before) / s.users;
  weir::random_stream random{1, "ranks"};
  const std::uint64_t asked = std::min<std::uint64_t>(users, 200'000);
  std::uint64_t sum = 0;
  begin = clock.now();
  for (std::uint64_t i = 0; i < asked; ++i) sum += room.look_at({{0, random.below(users)}, 0, 0}).position;
  n.ranks = rate(static_cast<double>(asked), clock.now() - begin);
  if (sum == 0) throw std::runtime_error{"no positions"};
  begin = clock.now();
  for (std::uint64_t i = 0; i < users / 2; i += 1000) room.advance(1000);
  n.admissions = rate(s.users / 2, clock.now() - begin);
  return n;
}

int run(const settings& s) {
  weir_load::print_load();
  weir::testing_support::redis_server server;
  std::vector<numbers> theirs, ours, one_by_one;
  settings single = s;
  single.pipeline = 1;
  single.users = std::min(s.users, 100'000.0);
  for (int round = 0; round < static_cast<int>(s.rounds); ++round) {
    std::fprintf(stderr, "round %d of %d\n", round + 1, static_cast<int>(s.rounds));
    theirs.push_back(of_redis(server.socket(), s));
    one_by_one.push_back(of_redis(server.socket(), single));
    ours.push_back(of_weir(s));
  }
  const auto row = [](const char* name, const std::vector<numbers>& all) {
    const auto middle = [&](double numbers::* field) {
      std::vector<double> values;
      values.reserve(all.size());
      for (const numbers& each : all) values.push_back(each.*field);
      return weir_load::median(values);
    };
    std::printf("%-34s %12.0f %12.0f %12.0f %12.1f\n", name, middle(&numbers::joins), middle(&numbers::ranks),
                middle(&numbers::admissions), middle(&numbers::bytes));
  };
  std::printf("%.0f users, median of %.0f rounds\n%-34s %12s %12s %12s %12s\n", s.users, s.rounds, "", "joins k/s",
              "ranks k/s", "admitted k/s", "bytes each");
  row("Redis, one command at a time", one_by_one);
  row("Redis, pipelined", theirs);
  row("weir::waiting_room, signed, locked", ours);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  settings s;
  const std::array options{
      weir_load::number_option{"--users", s.users, 1000, 10'000'000, "who join"},
      weir_load::number_option{"--pipeline", s.pipeline, 1, 10'000, "commands that are sent together"},
      weir_load::number_option{"--rounds", s.rounds, 1, 100, "of each, in turn"},
  };
  return weir_load::run_with(count, words, options, "weir_room_redis", [&] { return run(s); });
}
