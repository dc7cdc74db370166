#include "table_reader.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

namespace weir::scenario {
namespace {

std::string plain(double value) {
  std::ostringstream out;
  out << std::setprecision(15) << value;
  return out.str();
}

}  // namespace

const toml::node* table_reader::node(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
  return table_.get(key);
}

const toml::source_region& table_reader::source_of(std::string_view key) const {
  const toml::node* value = table_.get(key);
  return value == nullptr ? table_.source() : value->source();
}

bool table_reader::wrong_type(const toml::node& value, std::string_view key, std::string_view expected) {
  error(value.source(), "'" + std::string{key} + "' in " + what_ + " must be " + std::string{expected});
  return false;
}

bool table_reader::text(std::string_view key, std::string& out) {
  const toml::node* value = node(key);
  if (value == nullptr) return false;
  const auto* string = value->as_string();
  if (string == nullptr) return wrong_type(*value, key, "a string");
  out = string->get();
  return true;
}

void table_reader::required_name(std::string& out) {
  if (require("name") && text("name", out) && out.empty()) refuse("name", "in " + what_ + " must not be empty");
}

bool table_reader::flag(std::string_view key, bool& out) {
  const toml::node* value = node(key);
  if (value == nullptr) return false;
  const auto* boolean = value->as_boolean();
  if (boolean == nullptr) return wrong_type(*value, key, "true or false");
  out = boolean->get();
  return true;
}

bool table_reader::time(std::string_view key, duration& out, time_range range) {
  const toml::node* value = node(key);
  if (value == nullptr) return false;
  const std::string accepted = "from " + to_text(range.low) + " to " + to_text(range.high);
  const std::string form = "a duration like \"15s\", \"800ms\" or \"1m30s\", " + accepted;
  const auto* string = value->as_string();
  if (string == nullptr) return wrong_type(*value, key, form);
  const auto read = parse_duration(string->get());
  if (!read) return wrong_type(*value, key, form);
  if (*read < range.low || *read > range.high) return wrong_type(*value, key, accepted + ", is " + to_text(*read));
  out = *read;
  return true;
}

bool table_reader::number(std::string_view key, double& out, number_range range) {
  const toml::node* value = node(key);
  if (value == nullptr) return false;
  const std::string accepted = "from " + plain(range.low) + " to " + plain(range.high);
  if (!value->is_number()) return wrong_type(*value, key, "a number " + accepted);
  const double read = value->value_or(std::nan(""));
  if (!(read >= range.low && read <= range.high)) return wrong_type(*value, key, accepted + ", is " + plain(read));
  out = read;
  return true;
}

bool table_reader::count(std::string_view key, std::uint64_t& out, count_range range) {
  const toml::node* value = node(key);
  if (value == nullptr) return false;
  const std::string accepted = "a whole number from " + std::to_string(range.low) + " to " + std::to_string(range.high);
  const auto* integer = value->as_integer();
  if (integer == nullptr) return wrong_type(*value, key, accepted);
  const std::int64_t read = integer->get();
  if (read < 0 || static_cast<std::uint64_t>(read) < range.low || static_cast<std::uint64_t>(read) > range.high) {
    return wrong_type(*value, key, accepted + ", is " + std::to_string(read));
  }
  out = static_cast<std::uint64_t>(read);
  return true;
}

bool table_reader::text_map(std::string_view key, std::map<std::string, std::string>& out) {
  const toml::table* entries = table(key, "{ name = \"value\" }");
  if (entries == nullptr) return false;
  for (const auto& [name, value] : *entries) {
    if (const auto* string = value.as_string()) {
      out.insert_or_assign(std::string{name.str()}, string->get());
    } else {
      wrong_type(value, std::string{key} + "." + std::string{name.str()}, "a string");
    }
  }
  return true;
}

bool table_reader::statuses(std::string_view key, std::vector<unsigned>& out) {
  const toml::node* value = node(key);
  if (value == nullptr) return false;
  const toml::array* array = value->as_array();
  if (array == nullptr) return wrong_type(*value, key, "an array of HTTP statuses, like [200, 201]");
  std::vector<unsigned> read;
  for (const toml::node& element : *array) {
    const auto* integer = element.as_integer();
    if (integer == nullptr || integer->get() < 100 || integer->get() > 599) {
      return wrong_type(element, key, "an array of HTTP statuses from 100 to 599");
    }
    read.push_back(static_cast<unsigned>(integer->get()));
  }
  if (read.empty())
    return wrong_type(*value, key,
                      "an array of at least one HTTP status; without '" + std::string{key} + "' it has its default");
  out = std::move(read);
  return true;
}

const toml::table* table_reader::table(std::string_view key, std::string_view like) {
  const toml::node* value = node(key);
  if (value == nullptr) return nullptr;
  if (!value->is_table()) wrong_type(*value, key, like.empty() ? "a table" : "a table like " + std::string{like});
  return value->as_table();
}

std::vector<const toml::table*> table_reader::tables(std::string_view key, std::string_view like) {
  std::vector<const toml::table*> out;
  const toml::node* value = node(key);
  if (value == nullptr) return out;
  const toml::array* array = value->as_array();
  const std::string wanted = "an array of tables like " + std::string{like};
  if (array == nullptr) {
    wrong_type(*value, key, wanted);
    return out;
  }
  for (const toml::node& element : *array) {
    if (const toml::table* t = element.as_table()) {
      out.push_back(t);
    } else {
      wrong_type(element, key, wanted);
    }
  }
  return out;
}

bool table_reader::require(std::string_view key) {
  if (node(key) != nullptr) return true;
  error(table_.source(), what_ + " has no '" + std::string{key} + "'");
  return false;
}

void table_reader::refuse(std::string_view key, const std::string& why) {
  if (const toml::node* value = node(key)) error(value->source(), "'" + std::string{key} + "' " + why);
}

void table_reader::finish() {
  for (const auto& [key, value] : table_) {
    if (std::find(known_.begin(), known_.end(), key.str()) != known_.end()) continue;
    error(key.source(), "unknown key '" + std::string{key.str()} + "' in " + what_ + suggestion(key.str(), known_));
  }
}

}  // namespace weir::scenario
