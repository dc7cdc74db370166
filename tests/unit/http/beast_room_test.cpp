#include <weir/http/beast_room.hpp>

#include <gtest/gtest.h>
#include <boost/beast/core/ostream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/write.hpp>

#include <sstream>
#include <string>

namespace weir {
namespace {

namespace http = boost::beast::http;

http::request<http::string_body> parsed(std::string_view text) {
  http::request_parser<http::string_body> parser;
  boost::system::error_code ec;
  parser.eager(true);
  parser.put(boost::asio::buffer(text.data(), text.size()), ec);
  EXPECT_FALSE(ec) << ec.message();
  EXPECT_TRUE(parser.is_done());
  return parser.release();
}
std::string written(const http::response<http::string_body>& r) {
  std::ostringstream out;
  out << r;
  return out.str();
}

TEST(beast_room, a_request_is_seen_as_it_came) {
  const auto r = parsed(
      "POST /rooms/a/tickets?x=1 HTTP/1.1\r\nHost: h\r\ncookie: a=1\r\nCookie:  b=2 \r\nX-Weir-Device: d\r\n"
      "Content-Length: 4\r\n\r\nbody");
  const http_request seen = from_beast(r, "192.0.2.1");
  EXPECT_EQ(seen.method, "POST");
  EXPECT_EQ(seen.target, "/rooms/a/tickets?x=1");
  EXPECT_EQ(seen.body, "body");
  EXPECT_EQ(seen.remote, "192.0.2.1");
  std::string cookies;
  for (const http_header& h : seen.headers) {
    if (same_but_for_case(h.name, "COOKIE")) cookies += std::string{h.value} + '|';
  }
  EXPECT_EQ(cookies, "a=1|b=2|") << "both";
  EXPECT_EQ(seen.headers.size(), 5U);
}

TEST(beast_room, an_answer_is_written_as_it_is) {
  const auto r = parsed("GET /rooms/a/status HTTP/1.1\r\nHost: h\r\n\r\n");
  http_response a{
      .status = 429, .headers = {{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"Retry-After", "3"}}, .body = "{}"};
  EXPECT_EQ(written(to_beast(a, beast_response_head{r})),
            "HTTP/1.1 429 Too Many Requests\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nRetry-After: 3\r\n"
            "Content-Length: 2\r\n\r\n{}");
  a = {.status = 204};
  EXPECT_EQ(written(to_beast(a, beast_response_head{r})), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST(beast_room, a_question_for_the_head_is_one_for_the_whole_without_its_body) {
  const auto r = parsed("HEAD /rooms/a/status HTTP/1.0\r\nHost: h\r\n\r\n");
  EXPECT_EQ(from_beast(r).method, "GET");
  EXPECT_EQ(written(to_beast({.status = 200, .body = "{\"a\":1}"}, beast_response_head{r})),
            "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n");
}

}  // namespace
}  // namespace weir
