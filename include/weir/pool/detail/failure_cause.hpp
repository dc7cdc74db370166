#pragma once
/// \file
/// From what a backend threw to the cause that users of its pool are told.

#include <weir/core/time.hpp>
#include <weir/pool/pool_rejection.hpp>

#include <exception>
#include <memory>

namespace weir::inline v0::detail {

/// nullptr: no memory, or no exception.
[[nodiscard]] inline std::shared_ptr<const connect_failure> cause_of(const std::exception_ptr& thrown,
                                                                     time_point now) noexcept {
  if (thrown == nullptr) return nullptr;
  try {
    auto failure = std::make_shared<connect_failure>();
    failure->at = now;
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error& e) {
      failure->code = e.code();
      failure->text = e.what();
    } catch (const std::exception& e) {
      failure->text = e.what();
    } catch (...) {
      failure->text = "an exception of an unknown type";
    }
    return failure;
  } catch (...) {
    return nullptr;
  }
}

}  // namespace weir::inline v0::detail
