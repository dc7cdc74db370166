#include "driver.hpp"

#include "load_runner.hpp"
#include "overload.hpp"
#include "self_check.hpp"
#include "thresholds.hpp"

#include "scenario/duration_text.hpp"
#include "scenario/target.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <ctime>
#include <numeric>
#include <stdexcept>
#include <variant>

namespace weir::load {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

scenario::definition scaled(scenario::definition d, double factor) {
  if (!(factor > 0 && factor < 1e9)) throw std::invalid_argument("drive_options.rate_factor: must be > 0");
  scenario::scale_rates(d, factor);
  return d;
}

double checked(double time_scale) {
  if (!(time_scale > 0 && time_scale < 1e6)) throw std::invalid_argument("drive_options.time_scale: must be > 0");
  return time_scale;
}

std::vector<scenario::target_address> addresses_of(const std::string& target) {
  auto addresses = scenario::parse_targets(target);
  if (const auto* problem = std::get_if<std::string>(&addresses)) throw std::invalid_argument("target: " + *problem);
  return std::get<std::vector<scenario::target_address>>(std::move(addresses));
}

asio::ip::tcp::endpoint resolve(asio::io_context& io, const scenario::target_address& address) {
  boost::system::error_code ec;
  const auto literal = asio::ip::make_address(address.host, ec);
  if (!ec) return {literal, address.port};
  asio::ip::tcp::resolver resolver{io};
  // IPv4 first where a name has both: "localhost" servers listen there more often.
  for (const auto& protocol : {asio::ip::tcp::v4(), asio::ip::tcp::v6()}) {
    const auto found = resolver.resolve(protocol, address.host, std::to_string(address.port), ec);
    if (!ec && !found.empty()) return found.begin()->endpoint();
  }
  throw std::runtime_error("host '" + address.host + "' cannot be resolved: " + ec.message());
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string arrivals_of(const scenario::definition& d) {
  std::string kind;
  for (const scenario::load& l : d.loads) {
    const std::string own = is_open_loop(l.executor) ? to_string(l.arrivals) : "closed loop";
    if (kind.empty()) kind = own;
    if (kind != own) return "mixed";
  }
  return kind;
}

/// The end of the overload as planned: chance makes no single second of a Poisson load the end of the peak.
std::optional<duration> planned_peak_end(const scenario::definition& d, double capacity_per_s) {
  if (d.peak_end) return d.peak_end;
  if (!(capacity_per_s > 0) || d.loads.size() != 1) return std::nullopt;
  return scenario::rate_profile{d.loads.front()}.last_above(capacity_per_s);
}

class driver {
 public:
  driver(const scenario::definition& d, const drive_options& options)
      : definition_(scaled(d, options.rate_factor)),
        options_(options),
        record_(definition_),
        around_(make_surroundings()),
        tick_(io_),
        probe_(io_),
        signals_(io_) {}

  run_result run();

 private:
  surroundings make_surroundings() {
    std::vector<destination> targets;
    for (const scenario::target_address& address : addresses_of(definition_.target)) {
      targets.push_back({resolve(io_, address), address.authority()});
    }
    const std::uint64_t seed = definition_.seed;
    return {io_,
            std::move(targets),
            scenario_clock{checked(options_.time_scale)},
            record_,
            traffic_,
            random_stream{seed, "retry"},
            random_stream{seed, "think"},
            random_stream{seed, "uuid"}};
  }

  void spawn(task<void> work);
  void load_ended();
  void watch_signals();
  /// Once a second: processor time, and the line.
  task<void> tick();
  task<void> probe();
  void report_progress(duration now);
  run_result finish();

  scenario::definition definition_;
  const drive_options& options_;
  asio::io_context io_{1};
  traffic traffic_;
  recorder record_;
  surroundings around_;
  std::deque<load_runner> loads_;
  std::size_t loads_running_ = 0;
  timer tick_, probe_;
  asio::signal_set signals_;
  bool ended_ = false;
  validity health_;
  std::uint64_t descriptors_before_ = 0;
  duration cpu_at_start_{};
};

void driver::spawn(task<void> work) {
  asio::co_spawn(io_, std::move(work), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
}

run_result driver::run() {
  health_.descriptors_limit = raise_descriptor_limit();
  health_.ports_available = local_ports();
  descriptors_before_ = open_descriptors();
  std::uint64_t first_number = 1;
  for (const scenario::load& l : definition_.loads) {
    const scenario::journey* journey = definition_.find_journey(l.journey);
    if (journey == nullptr) throw std::invalid_argument("load '" + l.name + "': no journey '" + l.journey + "'");
    load_runner& runner =
        loads_.emplace_back(around_, l, *journey, definition_.seed, first_number, [this] { load_ended(); });
    first_number += runner.vus_max();
  }
  loads_running_ = loads_.size();
  if (options_.stop_on_signal) watch_signals();
  const std::string started_at = utc_now();
  cpu_at_start_ = own_cpu_time();
  around_.clock.restart();
  for (load_runner& l : loads_) l.start();
  spawn(tick());
  spawn(probe());
  io_.run();
  run_result out = finish();
  out.started_at = started_at;
  return out;
}

void driver::load_ended() {
  if (--loads_running_ > 0) return;
  ended_ = true;
  tick_.cancel();
  probe_.cancel();
  signals_.cancel();
}

void driver::watch_signals() {
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  signals_.async_wait([this](const boost::system::error_code& ec, int) {
    if (ec) return;
    if (health_.reasons.empty()) {
      health_.reasons.push_back("The run was stopped by a signal after " +
                                scenario::to_text(std::chrono::duration_cast<std::chrono::seconds>(around_.now())) + ".");
      for (load_runner& l : loads_) l.stop();
    } else {
      for (load_runner& l : loads_) l.interrupt();
    }
    watch_signals();
  });
}

task<void> driver::tick() {
  duration last_cpu = cpu_at_start_;
  duration last{};
  for (duration at = 1s; !ended_; at += 1s) {
    tick_.expires_at(around_.clock.at(at));
    boost::system::error_code ec;
    co_await tick_.async_wait(asio::redirect_error(use_task, ec));
    const duration now = around_.now();
    const duration cpu = own_cpu_time();
    // The rest of a second at the end is too short to be judged.
    if (now - last >= 500ms) {
      const duration wall = around_.clock.on_wall(now - last);
      const double share = static_cast<double>((cpu - last_cpu).count()) / static_cast<double>(wall.count());
      health_.own_cpu_peak = std::max(health_.own_cpu_peak, share);
    }
    last = now;
    last_cpu = cpu;
    if (!ended_ && options_.on_second) report_progress(now);
  }
}

task<void> driver::probe() {
  constexpr duration every = 10ms;
  for (duration at = every; !ended_; at += every) {
    if (around_.now() < at) {
      probe_.expires_at(around_.clock.at(at));
      boost::system::error_code ec;
      co_await probe_.async_wait(asio::redirect_error(use_task, ec));
      if (ec) break;
    }
    // A probe that fell into a stall is recorded with all that it waited: a stall is not one bad sample, but many.
    health_.loop_lag.record(around_.now() - at);
  }
}

void driver::report_progress(duration now) {
  const run_result& r = record_.so_far();
  progress p;
  p.elapsed = now;
  for (const load_runner& l : loads_) {
    p.vus_busy += l.busy();
    p.vus_max += l.vus_max();
  }
  for (const second_result& s : r.seconds) {
    p.completed += s.completed;
    p.dropped += s.dropped;
  }
  const auto whole = static_cast<std::size_t>(now / 1s);
  if (whole > 0 && whole <= r.seconds.size()) {
    const second_result& s = r.seconds[whole - 1];
    const std::uint64_t ended = std::accumulate(s.by_end.begin(), s.by_end.end(), std::uint64_t{0});
    p.good_per_s = static_cast<double>(s.by_end[static_cast<std::size_t>(verdict::good)]);
    const auto rejected = s.by_end[static_cast<std::size_t>(verdict::rejected)];
    p.rejected_share = ended == 0 ? 0 : static_cast<double>(rejected) / static_cast<double>(ended);
    if (!s.admitted.empty()) p.p95 = s.admitted.quantile(0.95);
  }
  options_.on_second(p);
}

run_result driver::finish() {
  const duration total = around_.now();
  const duration cpu = own_cpu_time() - cpu_at_start_;
  duration load_ended{};
  for (const load_runner& l : loads_) load_ended = std::max(load_ended, l.length());
  run_result out = record_.finish(load_ended, total);
  out.label = options_.label;
  out.rate_factor = options_.rate_factor;
  out.time_scale = options_.time_scale;
  out.arrivals = arrivals_of(definition_);
  out.bytes_sent = traffic_.bytes_sent;
  out.bytes_received = traffic_.bytes_received;
  for (const load_runner& l : loads_) {
    out.vus_max += l.vus_max();
    out.vus_peak += l.busy_peak();
  }
  health_.lateness = std::move(out.generator.lateness);
  const duration wall = std::max(around_.clock.on_wall(total), duration{1});
  health_.own_cpu_share = static_cast<double>(cpu.count()) / static_cast<double>(wall.count());
  health_.connections_opened = traffic_.connections_opened;
  health_.connections_per_minute_peak = traffic_.per_minute_peak;
  health_.descriptors_peak = descriptors_before_ + traffic_.open_peak;
  health_.own_errors = traffic_.own_errors;
  out.generator = std::move(health_);
  judge_validity(out);
  const double capacity = options_.capacity_per_s / options_.time_scale;  // in a second of the scenario
  out.overload = summarise_overload(out, capacity, planned_peak_end(definition_, capacity));
  out.thresholds = evaluate_thresholds(definition_, out);
  return out;
}

}  // namespace

run_result drive(const scenario::definition& d, const drive_options& options) { return driver{d, options}.run(); }

}  // namespace weir::load
