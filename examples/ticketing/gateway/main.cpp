/// \file
/// The gateway of the third report: a stateless reverse proxy before one service.

#include "upstream.hpp"

#include "../process.hpp"
#include "../server.hpp"
#include "../time_option.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <CLI/CLI.hpp>

#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace {

using namespace ticketing;

constexpr const char* program = "ticketing_gateway";

struct host_and_port {
  std::string host;
  std::uint16_t port = 0;
};

/// Errors: CLI::ValidationError.
host_and_port backend_in(const std::string& text) {
  const auto wrong = [&text] {
    return CLI::ValidationError("--backend", "must be HOST:PORT, with a port from 1 to 65535, is '" + text + "'");
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) throw wrong();
  host_and_port found{.host = text.substr(0, colon)};
  if (found.host.starts_with('[') && found.host.ends_with(']')) found.host = found.host.substr(1, colon - 2);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, found.port);
  if (error != std::errc{} || stop != end || found.port == 0 || found.host.empty()) throw wrong();
  return found;
}

struct options {
  server_options http{.name = program, .watch_clients = true};
  host_and_port backend;
  upstream_options behind;
  std::chrono::milliseconds drain{5'000};
};

/// The exit code, if there is nothing to run.
std::optional<int> parse(options& o, int argc, char** argv) {
  CLI::App app{"A gateway: passes HTTP/1.1 requests on to one service, so many at a time."};
  app.option_defaults()->always_capture_default();
  app.add_option("--address", o.http.address, "address to listen on");
  o.http.port = 8090;
  app.add_option("--port", o.http.port, "port to listen on; 0: a free one, printed");
  const auto set_backend = [&o](const std::string& text) {
    o.backend = backend_in(text);
    o.behind.authority = text;
  };
  app.add_option_function<std::string>("--backend", set_backend, "the service, HOST:PORT")->required();
  app.add_option("--max-in-flight", o.behind.max_in_flight, "requests under way at a time; beyond: 503")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}));
  add_time(app, "--timeout", o.behind.timeout, "for the service's whole answer; then 504");
  app.add_option("--max-streams", o.behind.max_streams, "answers of events under way at a time, beside those; beyond: 503")
      ->check(CLI::Range(std::size_t{0}, std::size_t{100'000}));
  add_time(app, "--stream-silence", o.behind.silence, "nothing for so long: such an answer is over");
  add_time(app, "--request-timeout", o.http.request_timeout, "time for reading one request, and for writing one answer");
  add_time(app, "--idle-timeout", o.http.idle_timeout, "time that a connection may be silent between requests");
  add_time(app, "--drain", o.drain, "time for finishing what runs after SIGTERM or SIGINT");
  app.add_option("--max-connections", o.http.max_connections, "beyond, a connection is answered 503 and closed")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

/// Errors: std::runtime_error.
boost::asio::ip::tcp::endpoint resolve(boost::asio::io_context& io, const host_and_port& backend) {
  boost::asio::ip::tcp::resolver resolver{io};
  boost::system::error_code ec;
  const auto found = resolver.resolve(backend.host, std::to_string(backend.port), ec);
  if (ec) throw std::runtime_error("cannot find " + backend.host + ": " + ec.message());
  return found->endpoint();
}

int serve(options& o) {
  boost::asio::io_context io{1};
  o.behind.backend = resolve(io, o.backend);
  upstream behind{io, o.behind};
  connection_counters connections;
  o.http.max_connections =
      raise_descriptor_limit(program, o.http.max_connections, 64 + o.behind.max_in_flight + o.behind.max_streams);
  std::optional<server> listening;
  try {
    listening.emplace(io, o.http, connections, [&behind](const request& r) { return behind.forward(r); });
  } catch (const boost::system::system_error& e) {
    std::fprintf(stderr, "%s: cannot listen on %s:%u: %s\n", program, o.http.address.c_str(), o.http.port,
                 e.code().message().c_str());
    return 1;
  }
  // What is still asked when the time is up is given up with its connection, by the server.
  const shutdown_sequence shutdown{io, program, o.drain, *listening, {.abandon = [] {}, .end = [] {}}};
  std::printf("listening on %s:%u\n", o.http.address.c_str(), listening->port());
  std::fflush(stdout);

  io.run();
  const boost::json::object counters{{"clients", to_json(connections)}, {"service", behind.counters()}};
  std::printf("%s\n", boost::json::serialize(counters).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  if (const auto code = parse(o, argc, argv)) return *code;
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return serve(o);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", program, e.what());
    return 1;
  }
}
