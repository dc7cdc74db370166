#pragma once
/// \file
/// What is wrong with what a client sent, and what it is told. Of server.cpp: knows Beast.

#include "answers.hpp"
#include "server.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <string>
#include <string_view>

namespace ticketing {

/// The answer to what is not a request; `response::status` 0: none, the client is gone.
inline response refusal(const boost::system::error_code& ec, const server_options& options) {
  namespace http = boost::beast::http;
  if (ec == http::error::header_limit) {
    return problem(431, "the header is larger than " + std::to_string(options.header_limit) + " bytes");
  }
  if (ec == http::error::buffer_overflow) {
    return problem(431, "the head of a chunk, or what comes after the body, is too large");
  }
  if (ec == http::error::body_limit) {
    return problem(413, "the body is larger than " + std::to_string(options.body_limit) + " bytes");
  }
  if (ec == http::error::end_of_stream || ec == http::error::partial_message) return {.status = 0};
  if (ec.category() == make_error_code(http::error::bad_method).category()) {
    return problem(400, "not an HTTP/1.1 request: " + ec.message());
  }
  return {.status = 0};
}

/// What Beast lets pass, and another one on the way might understand otherwise: where the request ends, and whom it is for
/// (RFC 9112, 3.2 and 6.3). Empty: nothing.
inline std::string_view ambiguity(const boost::beast::http::request<boost::beast::http::string_body>& r) {
  using boost::beast::http::field;
  if (const auto coding = r.find(field::transfer_encoding); coding != r.end()) {  // Beast lets none pass beside chunked
    if (r.version() < 11) return "Transfer-Encoding needs HTTP/1.1";
    if (!boost::beast::iequals(coding->value(), "chunked")) return "Transfer-Encoding may be chunked and nothing else";
  }
  const auto hosts = r.count(field::host);
  if (hosts > 1) return "more than one Host";
  if (hosts == 0 && r.version() >= 11) return "no Host";
  return {};
}

}  // namespace ticketing
