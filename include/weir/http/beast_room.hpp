#pragma once
/// \file
/// Between Boost.Beast and the handlers here: requests in, responses out. The only header that knows Beast.
///
/// ```cpp
/// handler.handle(weir::from_beast(request, remote), [&, head = weir::beast_response_head{request}](weir::http_response a)
/// {
///   // On the thread that ends it: with a store that is not the connection's.
///   boost::asio::post(executor, [&, response = weir::to_beast(std::move(a), head)] { write(response); });
/// });
/// ```
/// Let the parser keep to the limits too: body_limit(weir::room_body_limit), header_limit(8192). Pure functions.

#include <weir/http/message.hpp>

#include <boost/beast/http/field.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>

#include <string_view>
#include <utility>

namespace weir::inline v0 {

/// What a response has of its request.
struct beast_response_head {
  explicit beast_response_head(const boost::beast::http::request<boost::beast::http::string_body>& r)
      : version(r.version()), keep_alive(r.keep_alive()), is_head(r.method() == boost::beast::http::verb::head) {}

  unsigned version;
  bool keep_alive;
  bool is_head;  ///< is answered as GET, without the body
};

/// Views into `r`, which outlives them. Errors: std::bad_alloc.
[[nodiscard]] inline http_request from_beast(const boost::beast::http::request<boost::beast::http::string_body>& r,
                                             std::string_view remote = {}) {
  const auto view = [](auto text) { return std::string_view{text.data(), text.size()}; };
  http_request to{
      .method = r.method() == boost::beast::http::verb::head ? std::string_view{"GET"} : view(r.method_string()),
      .target = view(r.target()),
      .headers = {},
      .body = r.body(),
      .remote = remote};
  to.headers.reserve(16);
  for (const auto& field : r) to.headers.push_back({view(field.name_string()), view(field.value())});
  return to;
}

/// Ready to be written. Errors: std::bad_alloc.
[[nodiscard]] inline boost::beast::http::response<boost::beast::http::string_body> to_beast(http_response a,
                                                                                            const beast_response_head& of) {
  namespace http = boost::beast::http;
  http::response<http::string_body> to{static_cast<http::status>(a.status), of.version};
  for (const auto& [name, value] : a.headers) to.insert({name.data(), name.size()}, {value.data(), value.size()});
  to.keep_alive(of.keep_alive);
  if (a.status != 204) to.content_length(a.body.size());
  if (!of.is_head) to.body() = std::move(a.body);
  return to;
}

}  // namespace weir::inline v0
