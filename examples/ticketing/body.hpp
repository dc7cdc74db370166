#pragma once
/// \file
/// Request bodies: JSON objects whose fields are taken one by one, with a message that names the field at fault.

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ticketing {

/// The client's mistake: `what()` is the answer's message.
struct bad_body : std::runtime_error {
  using runtime_error::runtime_error;
};

class request_body {
 public:
  /// Errors: bad_body if `text` is not a JSON object.
  explicit request_body(std::string_view text);
  ~request_body();
  request_body(const request_body&) = delete;
  request_body& operator=(const request_body&) = delete;

  /// A string of `least` to `most` bytes without NUL. Errors: bad_body.
  [[nodiscard]] std::string text(std::string_view field, std::size_t least, std::size_t most) const;
  /// An integer from `least` to `most`. Errors: bad_body.
  [[nodiscard]] std::int64_t integer(std::string_view field, std::int64_t least, std::int64_t most) const;

 private:
  struct parsed;
  std::unique_ptr<parsed> parsed_;
};

/// `{"error": message}`.
[[nodiscard]] std::string error_json(std::string_view message);

}  // namespace ticketing
