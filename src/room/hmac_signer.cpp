#include <weir/room/hmac_signer.hpp>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <new>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace weir::inline v0 {
namespace {

struct free_mac {
  void operator()(EVP_MAC* m) const noexcept { EVP_MAC_free(m); }
  void operator()(EVP_MAC_CTX* c) const noexcept { EVP_MAC_CTX_free(c); }
};
using mac_context = std::unique_ptr<EVP_MAC_CTX, free_mac>;

/// One key. A context serves one thread at a time; made with the key, it begins each message at a third of the cost.
class hmac_key {
 public:
  hmac_key(EVP_MAC* hmac, std::span<const std::uint8_t> key) : first_(EVP_MAC_CTX_new(hmac)) {
    std::string digest = "SHA256";
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
                                     OSSL_PARAM_construct_end()};
    if (first_ == nullptr || EVP_MAC_init(first_.get(), key.data(), key.size(), parameters) != 1) {
      throw std::runtime_error("hmac_signer: OpenSSL has no HMAC-SHA256");
    }
  }

  bool sign(std::span<const std::uint8_t> message, seat_mac& mac) const noexcept {
    mac_context context = borrow();
    std::array<std::uint8_t, 32> whole;
    std::size_t size = 0;
    if (context == nullptr || EVP_MAC_init(context.get(), nullptr, 0, nullptr) != 1 ||
        EVP_MAC_update(context.get(), message.data(), message.size()) != 1 ||
        EVP_MAC_final(context.get(), whole.data(), &size, whole.size()) != 1 || size < mac.size()) {
      return false;
    }
    std::copy_n(whole.begin(), mac.size(), mac.begin());
    give_back(std::move(context));
    return true;
  }

 private:
  [[nodiscard]] mac_context borrow() const noexcept {
    {
      const std::lock_guard lock{mutex_};
      if (!spare_.empty()) {
        mac_context taken = std::move(spare_.back());
        spare_.pop_back();
        return taken;
      }
    }
    return mac_context{EVP_MAC_CTX_dup(first_.get())};
  }
  void give_back(mac_context context) const noexcept {
    const std::lock_guard lock{mutex_};
    try {
      spare_.push_back(std::move(context));
    } catch (const std::bad_alloc&) {  // one less is kept
    }
  }

  mac_context first_;  // never used itself
  mutable std::mutex mutex_;
  mutable std::vector<mac_context> spare_;  // guarded by mutex_
};

}  // namespace

struct hmac_signer::state {
  std::unique_ptr<EVP_MAC, free_mac> hmac{EVP_MAC_fetch(nullptr, "HMAC", nullptr)};
  mutable std::shared_mutex mutex;
  std::map<std::uint8_t, hmac_key> keys;  // guarded by mutex
  std::atomic<std::uint8_t> current{0};
};

hmac_signer::hmac_signer(std::uint8_t number, std::span<const std::uint8_t> key) : state_(std::make_unique<state>()) {
  if (state_->hmac == nullptr) throw std::runtime_error("hmac_signer: OpenSSL has no HMAC");
  add_key(number, key);
}
hmac_signer::hmac_signer(std::uint8_t number, std::string_view key)
    : hmac_signer(number, {reinterpret_cast<const std::uint8_t*>(key.data()), key.size()}) {}
hmac_signer::~hmac_signer() = default;

void hmac_signer::add_key(std::uint8_t number, std::span<const std::uint8_t> key) {
  if (key.size() < shortest_key) {
    throw std::invalid_argument("hmac_signer: key " + std::to_string(number) + " must have at least " +
                                std::to_string(shortest_key) + " bytes, has " + std::to_string(key.size()));
  }
  const std::unique_lock lock{state_->mutex};
  if (!state_->keys.try_emplace(number, state_->hmac.get(), key).second) {
    throw std::invalid_argument("hmac_signer: there is a key " + std::to_string(number) + " already");
  }
  state_->current = number;
}

bool hmac_signer::remove_key(std::uint8_t number) {
  const std::unique_lock lock{state_->mutex};
  return number != state_->current && state_->keys.erase(number) == 1;
}

std::uint8_t hmac_signer::current_key() const noexcept { return state_->current; }

bool hmac_signer::sign(std::uint8_t key, std::span<const std::uint8_t> message, seat_mac& mac) const noexcept {
  const std::shared_lock lock{state_->mutex};
  const auto found = state_->keys.find(key);
  return found != state_->keys.end() && found->second.sign(message, mac);
}

}  // namespace weir::inline v0
