#pragma once
/// \file
/// The pages for people: the list of rooms, a fan's page, an operator's page. Each is one document that loads nothing else;
/// the parts that several share are files beside this one, put together when the server starts.
///
/// ```cpp
/// const ticketing::pages pages{{{.name = "concert", .title = "Concert 451", .title_ko = "콘서트 451", .link =
/// "/concert/451/date"}}}; if (const auto page = pages.page_for("/fan/concert")) { ... }   // GET
/// ```
/// Thread-safe once constructed.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ticketing {

/// What the pages say of a waiting room.
struct listed_room {
  std::string name;      ///< as in /rooms/{name}/
  std::string title;     ///< what people know it by
  std::string title_ko;  ///< the same in Korean; empty: `title`
  std::string link{};    ///< where who has been let in goes; a path of this server. Empty: nowhere
  bool streams = false;  ///< whether the server sends GET ticket/stream; else pages poll
};

/// Views into `pages`, which outlives it.
struct page {
  unsigned status = 200;  ///< 404 for a room that is not listed: the page says so
  std::string_view content_type;
  std::string_view body;
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

class pages {
 public:
  /// Errors: std::runtime_error if OpenSSL has no SHA-256; std::bad_alloc.
  explicit pages(std::vector<listed_room> rooms);

  /// `path`: without query. Knows "/", "/fan/{room}" and "/operator/{room}". Nothing: there is no such page. O(rooms).
  [[nodiscard]] std::optional<page> page_for(std::string_view path) const;

 private:
  struct document {
    std::string body, policy;
  };

  std::vector<listed_room> rooms_;
  document index_, fan_, operator_;
};

}  // namespace ticketing
