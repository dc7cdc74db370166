#include <weir/core/admission.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <system_error>

namespace {

using boost::system::error_code;
using weir::errc;
using weir::outcome;

struct a_permit {
  a_permit() = default;
  a_permit(a_permit&&) noexcept = default;
  a_permit& operator=(a_permit&&) noexcept = default;
  void release(const weir::completion&) noexcept {}
  void release(outcome) noexcept {}
  void cancel() noexcept {}
};
struct copyable_permit {
  void release(const weir::completion&) noexcept {}
  void release(outcome) noexcept {}
  void cancel() noexcept {}
};
struct throwing_permit : a_permit {
  void cancel() {}
};

struct a_policy {
  using permit = a_permit;
  weir::result<permit> try_acquire(const weir::call&) noexcept { return permit{}; }
  weir::time_point now() const noexcept { return {}; }
};
struct policy_that_may_throw : a_policy {
  weir::result<permit> try_acquire(const weir::call&) { return permit{}; }
};
struct policy_without_clock {
  using permit = a_permit;
  weir::result<permit> try_acquire(const weir::call&) noexcept { return permit{}; }
};
struct a_waitable_policy : a_policy {
  void attach(weir::capacity_listener*) {}
  void set_waiting(bool) noexcept {}
  weir::result<permit> try_acquire_for_waiter(const weir::call&) noexcept { return permit{}; }
  weir::time_point next_available(std::uint32_t, weir::time_point) const noexcept { return weir::never; }
};

TEST(admission, the_concepts_accept_and_refuse) {
  static_assert(weir::permit_type<a_permit>);
  static_assert(!weir::permit_type<copyable_permit>, "a permit that can be copied is given back twice");
  static_assert(!weir::permit_type<throwing_permit>);
  static_assert(!weir::permit_type<int>);

  static_assert(weir::admission_policy<a_policy>);
  static_assert(!weir::admission_policy<policy_that_may_throw>);
  static_assert(!weir::admission_policy<policy_without_clock>);
  static_assert(!weir::admission_policy<int>);

  static_assert(weir::waitable_policy<a_waitable_policy>);
  static_assert(!weir::waitable_policy<a_policy>);
}

TEST(admission, a_default_call_asks_for_one_now_without_a_deadline) {
  const weir::call c;
  EXPECT_EQ(c.now, weir::read_clock);
  EXPECT_EQ(c.deadline, weir::never);
  EXPECT_EQ(c.cost, 1u);
  EXPECT_EQ(c.tenant, 0u);
  EXPECT_EQ(c.session, 0u);
  EXPECT_EQ(c.priority, 0u);
  EXPECT_TRUE(c.tag.empty());
}

TEST(admission, a_default_completion_is_a_success_that_ends_now) {
  const weir::completion c;
  EXPECT_EQ(c.result, outcome::success);
  EXPECT_EQ(c.now, weir::read_clock);
  EXPECT_EQ(c.took, weir::completion::unmeasured);
  EXPECT_EQ(c.retry_after, weir::duration::zero());
}

outcome of(const error_code& ec) { return weir::outcome_traits<error_code>::of(ec); }

TEST(outcome_traits, error_codes) {
  EXPECT_EQ(of({}), outcome::success);
  EXPECT_EQ(of(make_error_code(boost::system::errc::connection_reset)), outcome::failure);
  EXPECT_EQ(of(make_error_code(boost::system::errc::timed_out)), outcome::failure);
}

TEST(outcome_traits, our_own_refusals_never_count_as_the_callees_faults) {
  for (const auto& row : weir::errc_table) EXPECT_EQ(of(row.code), outcome::ignored) << row.label;
}

TEST(outcome_traits, a_caller_that_gave_up_says_nothing_about_the_callee) {
  EXPECT_EQ(of(make_error_code(boost::system::errc::operation_canceled)), outcome::ignored);
}

TEST(outcome_traits, results_and_other_values) {
  using refused = weir::result<int>;
  EXPECT_EQ(weir::outcome_traits<refused>::of(3), outcome::success);
  EXPECT_EQ(weir::outcome_traits<refused>::of(weir::rejection{errc::circuit_open, {}}), outcome::ignored);
  EXPECT_EQ(weir::outcome_traits<refused>::of(weir::rejection{make_error_code(boost::system::errc::connection_refused)}),
            outcome::failure);

  using failed = boost::system::result<int>;
  EXPECT_EQ(weir::outcome_traits<failed>::of(3), outcome::success);
  EXPECT_EQ(weir::outcome_traits<failed>::of(make_error_code(boost::system::errc::io_error)), outcome::failure);

  using strange = boost::system::result<int, std::string>;
  EXPECT_EQ(weir::outcome_traits<strange>::of(strange{boost::system::in_place_error, "no"}), outcome::failure);
  EXPECT_EQ(weir::outcome_traits<int>::of(0), outcome::success);
}

TEST(outcome_traits, judges_the_standards_error_codes_too) {
  using traits = weir::outcome_traits<std::error_code>;
  EXPECT_EQ(traits::of({}), outcome::success);
  EXPECT_EQ(traits::of(std::make_error_code(std::errc::connection_refused)), outcome::failure);
  EXPECT_EQ(traits::of(std::make_error_code(std::errc::operation_canceled)), outcome::ignored);
}

TEST(outcome_traits, a_value_inside_of_results_says_what_it_would_say_alone) {
  using inner = boost::system::result<int>;
  using nested = weir::result<inner>;
  const inner failed = make_error_code(boost::system::errc::io_error);
  EXPECT_EQ(weir::outcome_traits<nested>::of(nested{failed}), outcome::failure);
  EXPECT_EQ(weir::outcome_traits<nested>::of(nested{inner{3}}), outcome::success);
  EXPECT_EQ(weir::outcome_traits<nested>::of(weir::rejection{errc::circuit_open, {}}), outcome::ignored);
}

template <class Exception>
outcome thrown(const Exception& e) {
  try {
    throw e;
  } catch (...) {
    return weir::outcome_of_current_exception();
  }
}

TEST(outcome_of_current_exception, tells_refusals_from_faults) {
  EXPECT_EQ(thrown(std::runtime_error{"boom"}), outcome::failure);
  EXPECT_EQ(thrown(7), outcome::failure);
  EXPECT_EQ(thrown(boost::system::system_error{make_error_code(boost::system::errc::io_error)}), outcome::failure);
  EXPECT_EQ(thrown(boost::system::system_error{make_error_code(boost::system::errc::operation_canceled)}),
            outcome::ignored);
  EXPECT_EQ(thrown(std::system_error{std::make_error_code(std::errc::operation_canceled)}), outcome::ignored);
  EXPECT_EQ(thrown(std::system_error{std::make_error_code(std::errc::io_error)}), outcome::failure);
  EXPECT_EQ(thrown(weir::rejected_error{weir::rejection{errc::circuit_open, {}}}), outcome::ignored);
}

}  // namespace
