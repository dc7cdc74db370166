// A call that stood in one queue while holding its place in the other would keep that place from calls that can use it.
// expect: (constraint|no matching)
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

void test(weir::wait_queue<weir::concurrency_limiter>& first, weir::wait_queue<weir::concurrency_limiter>& second) {
#ifdef WEIR_MISUSE
  auto permit = weir::pipeline{first, second}.acquire();
#else
  auto tried = weir::pipeline{first, second}.try_acquire();
  auto permit = weir::pipeline{first}.acquire();
#endif
}
