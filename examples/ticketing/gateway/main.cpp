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

#include <csignal>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace {

using namespace ticketing;

constexpr const char* program = "ticketing_gateway";

struct options {
  server_options http{.name = program, .watch_clients = true};
  std::string backend;
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
  app.add_option("--backend", o.backend, "the service, HOST:PORT")->required();
  app.add_option("--max-in-flight", o.behind.max_in_flight, "requests under way at a time; beyond: 503")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}));
  add_time(app, "--timeout", o.behind.timeout, "for the service's whole answer; then 504");
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

/// Errors: std::invalid_argument, boost::system::system_error.
boost::asio::ip::tcp::endpoint resolve(boost::asio::io_context& io, const std::string& backend) {
  const auto colon = backend.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == backend.size()) {
    throw std::invalid_argument("--backend must be HOST:PORT, is '" + backend + "'");
  }
  std::string host = backend.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  boost::asio::ip::tcp::resolver resolver{io};
  return resolver.resolve(host, backend.substr(colon + 1))->endpoint();
}

int serve(options& o) {
  boost::asio::io_context io{1};
  o.behind.backend = resolve(io, o.backend);
  o.behind.authority = o.backend;
  upstream behind{io, o.behind};
  connection_counters connections;
  o.http.max_connections = raise_descriptor_limit(program, o.http.max_connections, 64 + o.behind.max_in_flight);
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
