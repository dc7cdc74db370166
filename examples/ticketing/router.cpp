#include "router.hpp"

#include "answers.hpp"
#include "body.hpp"

#include <charconv>
#include <cstdio>
#include <exception>
#include <utility>

namespace ticketing {
namespace {

std::string_view path_of(const request& r) { return r.target.substr(0, r.target.find('?')); }

/// What stands in the place of "{}"; empty: the path has another shape.
std::string_view parameter(std::string_view path, std::string_view pattern) {
  const auto hole = pattern.find("{}");
  if (hole == pattern.npos) return {};
  const std::string_view prefix = pattern.substr(0, hole), suffix = pattern.substr(hole + 2);
  if (path.size() <= prefix.size() + suffix.size() || !path.starts_with(prefix) || !path.ends_with(suffix)) return {};
  path = path.substr(prefix.size(), path.size() - prefix.size() - suffix.size());
  return path.find('/') == path.npos ? path : std::string_view{};
}

bool fits(std::string_view path, std::string_view pattern) { return path == pattern || !parameter(path, pattern).empty(); }

}  // namespace

std::optional<std::int64_t> whole_number(std::string_view parameter) noexcept {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(parameter.data(), parameter.data() + parameter.size(), value);
  if (error != std::errc{} || end != parameter.data() + parameter.size() || value < 1) return std::nullopt;
  return value;
}

void router::add(std::string_view method, std::string_view pattern, action run) {
  routes_.push_back({method, pattern, std::move(run)});
}
void router::mount(std::string_view prefix, action run) { mounted_.push_back({{}, prefix, std::move(run)}); }

task<response> router::handle(const request& r) {
  response a;
  std::string label = "other";
  try {
    a = co_await answer(r, label);
  } catch (const bad_body& e) {
    a = problem(400, e.what());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ticketing: %s: %s\n", label.c_str(), e.what());
    a = problem(500, "internal error");
  }
  ++counters_.requests[label][a.status];
  co_return a;
}

task<response> router::answer(const request& r, std::string& label) {
  const std::string_view path = path_of(r);
  for (const route& m : mounted_) {
    if (!path.starts_with(m.pattern)) continue;
    label = m.pattern;
    co_return co_await m.run(r, path.substr(m.pattern.size()));
  }
  const std::string_view method = r.method == "HEAD" ? std::string_view{"GET"} : r.method;
  const route* other = nullptr;
  for (const route& known : routes_) {
    if (!fits(path, known.pattern)) continue;
    if (known.method == method) {
      label = std::string(method) + " " + std::string(known.pattern);
      co_return co_await known.run(r, parameter(path, known.pattern));
    }
    other = &known;
  }
  if (other == nullptr) co_return problem(404, "no such resource");
  label = std::string(other->method) + " " + std::string(other->pattern);
  response refused = problem(405, "use " + std::string(other->method));
  refused.allow = other->method;
  co_return refused;
}

}  // namespace ticketing
