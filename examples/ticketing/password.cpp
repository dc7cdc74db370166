#include "password.hpp"

#include <crypt.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <numeric>
#include <system_error>
#include <thread>
#include <vector>

namespace ticketing {

std::string hash_password(const std::string& password, unsigned cost) {
  char setting[CRYPT_GENSALT_OUTPUT_SIZE];
  // A null pointer for the random bytes: libxcrypt asks the kernel for them.
  if (crypt_gensalt_rn("$2b$", cost, nullptr, 0, setting, sizeof setting) == nullptr) {
    throw std::system_error(errno, std::generic_category(), "crypt_gensalt_rn");
  }
  const auto scratch = std::make_unique<crypt_data>();  // 32 KB: too much for a stack that we do not own
  const char* hash = crypt_r(password.c_str(), setting, scratch.get());
  if (hash == nullptr || hash[0] == '*') throw std::system_error(errno, std::generic_category(), "crypt_r");
  return hash;
}

double measure_hash_rate(unsigned threads, unsigned cost, std::chrono::milliseconds length) {
  using clock = std::chrono::steady_clock;
  const auto end = clock::now() + length;
  std::vector<double> rates(threads);
  std::vector<std::thread> running;
  for (double& rate : rates) {
    running.emplace_back([&rate, end, cost] {
      const auto start = clock::now();
      double hashes = 0;
      auto now = start;
      do {
        (void)hash_password("correct horse battery staple", cost);
        ++hashes;
        now = clock::now();
      } while (now < end);
      rate = hashes / std::chrono::duration<double>(now - start).count();
    });
  }
  for (auto& thread : running) thread.join();
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}

}  // namespace ticketing
