// weir_bench: all micro-benchmarks of weir in one program.

#include <weir/core/default_clock.hpp>

#include <benchmark/benchmark.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace {

/// Sleeps as long as it lives. While a process has only one thread, glibc and libstdc++ leave out the lock prefix and the
/// locking of mutexes and shared pointers; a service never has only one thread, so no row may be measured like that.
class second_thread {
 public:
  second_thread() : sleeper_([this] { sleep(); }) {}
  ~second_thread() {
    {
      const std::lock_guard lock{mutex_};
      done_ = true;
    }
    woken_.notify_one();
    sleeper_.join();
  }
  second_thread(const second_thread&) = delete;
  second_thread& operator=(const second_thread&) = delete;

 private:
  void sleep() {
    std::unique_lock lock{mutex_};
    woken_.wait(lock, [this] { return done_; });
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  bool done_ = false;
  std::thread sleeper_;
};

/// Reads the clock until it has calibrated itself, so that no row is measured half on the one and half on the other.
std::string settled_clock() {
  const weir::default_clock clock;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{1};
  const auto& implementation = weir::detail::tsc_clock::instance();
  while (std::string{implementation.source()} == "calibrating" && std::chrono::steady_clock::now() < give_up) {
    benchmark::DoNotOptimize(clock.now());
  }
  return implementation.source();
}

}  // namespace

int main(int argc, char** argv) {
  const second_thread sleeper;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("weir_clock", settled_clock());
  benchmark::AddCustomContext("weir_compiler", WEIR_BENCH_COMPILER);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
