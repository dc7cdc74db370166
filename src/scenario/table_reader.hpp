#pragma once
/// \file
/// One TOML table, read key by key: wrong types, values out of range and unknown keys become diagnostics with their line.
/// Private to this folder; includes toml++.

#include "duration_text.hpp"
#include "parse.hpp"
#include "suggestion.hpp"

#include <toml++/toml.h>

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::scenario {

/// Where diagnostics of one file go.
class reporter {
 public:
  reporter(std::string_view file, std::vector<diagnostic>& out) : file_(file), out_(out) {}
  void error(const toml::source_region& where, std::string message) {
    out_.push_back({std::string{file_}, where.begin.line, std::move(message)});
  }

 private:
  std::string_view file_;
  std::vector<diagnostic>& out_;
};

/// The range of a duration or a number, for checks and for the message.
struct time_range {
  duration low, high;
};
struct number_range {
  double low, high;
};
struct count_range {
  std::uint64_t low, high;
};

/// Every getter leaves `out` alone if the key is absent or wrong, and returns whether it was there and right.
class table_reader {
 public:
  /// `what` names the table in messages: "[scenario]", "a stage".
  table_reader(reporter& report, const toml::table& table, std::string what)
      : report_(report), table_(table), what_(std::move(what)) {}

  bool text(std::string_view key, std::string& out);
  /// The key 'name', which must be there and not be empty.
  void required_name(std::string& out);
  bool flag(std::string_view key, bool& out);
  bool time(std::string_view key, duration& out, time_range range);
  bool number(std::string_view key, double& out, number_range range);
  bool count(std::string_view key, std::uint64_t& out, count_range range);
  /// Table of strings.
  bool text_map(std::string_view key, std::map<std::string, std::string>& out);
  /// Array of HTTP statuses.
  bool statuses(std::string_view key, std::vector<unsigned>& out);
  template <class Enum>
  bool choice(std::string_view key, Enum& out,
              std::span<const std::pair<std::string_view, std::type_identity_t<Enum>>> names);

  /// The table or the array of tables behind the key; nullptr / empty: absent or wrong. `like`: one, for the message.
  const toml::table* table(std::string_view key, std::string_view like = {});
  std::vector<const toml::table*> tables(std::string_view key, std::string_view like);
  /// The raw value, counted as known.
  const toml::node* node(std::string_view key);

  /// Says so if the key is missing; returns whether it is there.
  bool require(std::string_view key);
  /// The key may stand here, but not with this choice: an error that says why.
  void refuse(std::string_view key, const std::string& why);
  /// Everything that was never asked for is an unknown key.
  void finish();

  void error(const toml::source_region& where, const std::string& message) { report_.error(where, message); }
  [[nodiscard]] const toml::source_region& source() const noexcept { return table_.source(); }
  [[nodiscard]] const toml::source_region& source_of(std::string_view key) const;
  [[nodiscard]] reporter& report() noexcept { return report_; }

 private:
  bool wrong_type(const toml::node& value, std::string_view key, std::string_view expected);

  reporter& report_;
  const toml::table& table_;
  std::string what_;
  std::vector<std::string_view> known_;
};

template <class Enum>
bool table_reader::choice(std::string_view key, Enum& out,
                          std::span<const std::pair<std::string_view, std::type_identity_t<Enum>>> names) {
  std::string word;
  if (!text(key, word)) return false;
  std::vector<std::string_view> known;
  for (const auto& [name, value] : names) {
    known.push_back(name);
    if (name == word) {
      out = value;
      return true;
    }
  }
  error(source_of(key), "unknown " + std::string{key} + " '" + word + "'" + suggestion(word, known));
  return false;
}

}  // namespace weir::scenario
