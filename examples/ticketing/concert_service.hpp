#pragma once
/// \file
/// The second report's service: a token of the queue, the list of concerts, the dates of one.

#include "database_access.hpp"
#include "date_load.hpp"
#include "desk.hpp"
#include "protection.hpp"
#include "router.hpp"
#include "stations.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace ticketing {

struct concert_options {
  weir::duration issue_time{};  ///< that issuing a token takes, see serial_station; 0: no time to speak of
  weir::duration date_query{};  ///< that the query of dates takes, see date_load; 0: no time to speak of
  bool whole_list = false;      ///< every request for the list takes all of it out of the cache
};

/// Not thread-safe: belongs to the I/O thread. All references must outlive it.
class concert_service {
 public:
  /// `guard`: nullptr without protection.
  concert_service(const concert_options&, desk&, database_access&, executor_type, protection* guard);

  /// This must outlive the router's requests.
  void add_to(router&);

 private:
  task<response> issue(const request&, std::string_view user);
  task<response> token(const request&, std::string_view user);
  task<response> list(const request&, std::string_view);
  task<response> dates(const request&, std::string_view concert);
  /// The dates, for who may ask for them.
  task<response> query(const request&, std::int64_t concert);

  desk& desk_;
  database_access& database_;
  protection* guard_;
  serial_station issuing_;
  date_load date_load_;
  std::string list_;                ///< as it lies in the cache
  std::vector<std::string> pages_;  ///< rendered; empty: the whole list is taken out each time
};

}  // namespace ticketing
