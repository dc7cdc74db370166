#include "report/json.hpp"
#include "report/run_fields.hpp"
#include "report/wording.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <type_traits>
#include <vector>

namespace weir::report {
namespace {

namespace json = boost::json;

// What a run can have at most. A file with more is not ours, and must not cost us the memory to find out.
constexpr std::size_t max_file_bytes = std::size_t{64} << 20U;
constexpr std::size_t max_histogram_bytes = std::size_t{512} << 20U;  // of all together, once expanded
constexpr std::uint64_t max_count = std::uint64_t{1} << 53U;          // in one histogram: what a double still counts
constexpr std::size_t max_text_bytes = 4096;
constexpr std::size_t max_items = 1000;  // steps, thresholds, reasons, statuses, kinds of failure
constexpr std::size_t max_seconds = 24 * 3600;

std::string kind_of(const json::value& v) {
  switch (v.kind()) {
    case json::kind::null: return "null";
    case json::kind::bool_: return "a boolean";
    case json::kind::int64:
    case json::kind::uint64: return "the number " + json::serialize(v);
    case json::kind::double_: return "the number " + number_text(v.get_double());
    case json::kind::string: return "a string";
    case json::kind::array: return "a list";
    case json::kind::object: return "an object";
  }
  return "something else";
}

/// Where we are in the document; lives on the stack of the reader, one per level, so that paths cost nothing until an
/// error.
struct place {
  const place* parent = nullptr;
  std::string_view name{};
  std::size_t index = 0;
  const std::string* source = nullptr;     ///< of the root only
  std::size_t* histogram_bytes = nullptr;  ///< of the root only: still allowed

  [[nodiscard]] const place& root() const {
    const place* at = this;
    while (at->parent != nullptr) at = at->parent;
    return *at;
  }

  [[nodiscard]] std::string path() const {
    if (parent == nullptr) return "";
    const std::string before = parent->path();
    if (name.empty()) return before + "[" + std::to_string(index) + "]";
    return before.empty() ? std::string(name) : before + "." + terminal_safe(name);
  }
  [[noreturn]] void fail(const std::string& problem) const {
    const std::string where = path();
    throw format_error(terminal_safe(*root().source) + ": " + (where.empty() ? "" : where + ": ") + problem);
  }
  [[noreturn]] void expected(const std::string& what, const json::value& found) const {
    fail("expected " + what + ", found " + kind_of(found));
  }
};

const json::object& object_at(const json::value& v, const place& at) {
  if (!v.is_object()) at.expected("an object", v);
  return v.get_object();
}

const json::array& list_at(const json::value& v, const place& at, std::size_t at_most) {
  if (!v.is_array()) at.expected("a list", v);
  if (v.get_array().size() > at_most) {
    at.fail("expected at most " + std::to_string(at_most) + " items, found " + std::to_string(v.get_array().size()));
  }
  return v.get_array();
}

std::uint64_t whole_number_at(const json::value& v, const place& at,
                              std::uint64_t at_most = std::numeric_limits<std::uint64_t>::max()) {
  std::uint64_t number = 0;
  if (v.is_uint64()) {
    number = v.get_uint64();
  } else if (v.is_int64() && v.get_int64() >= 0) {
    number = static_cast<std::uint64_t>(v.get_int64());
  } else {
    at.expected("a whole number >= 0", v);
  }
  if (number > at_most) at.fail("expected at most " + std::to_string(at_most) + ", found " + std::to_string(number));
  return number;
}

duration duration_at(const json::value& v, const place& at) {
  return duration{static_cast<duration::rep>(
      whole_number_at(v, at, static_cast<std::uint64_t>(std::numeric_limits<duration::rep>::max())))};
}

/// The values [low, high] that `count` samples had.
struct sample_range {
  std::uint64_t low = 0, high = 0, count = 0;
};

/// A histogram with these ranges, minimum, maximum and sum, all exact. It knows only how to record values, so this finds
/// some that fit: one at either end, the others at the low end of their range, then raised until the sum is right. False:
/// there are none.
bool restore(std::vector<sample_range> ranges, std::uint64_t min, std::uint64_t max, std::uint64_t sum, histogram& to) {
  const auto record = [&to](std::uint64_t ns, std::uint64_t count) {
    to.record(duration{static_cast<duration::rep>(ns)}, count);
  };
  if (min < ranges.front().low || min > ranges.front().high || max < ranges.back().low || max > ranges.back().high)
    return false;
  if (min > max) return false;
  ranges.front().low = min;
  ranges.back().high = max;
  record(min, 1);
  --ranges.front().count;
  detail::uint128 least = min;
  if (ranges.size() > 1 || ranges.front().count > 0) {
    record(max, 1);
    --ranges.back().count;
    least += max;
  } else if (min != max) {
    return false;
  }
  for (const auto& range : ranges) least += detail::uint128{range.low} * range.count;
  // A sum at the end of what `duration` holds has been cut off there and says nothing.
  const bool cut_off = sum == static_cast<std::uint64_t>(duration::max().count());
  if (!cut_off && sum < least) return false;
  detail::uint128 missing = cut_off ? 0 : sum - least;
  for (const auto& range : ranges) {
    if (range.count == 0) continue;
    const detail::uint128 most = detail::uint128{range.high - range.low} * range.count;
    const detail::uint128 raise = std::min(missing, most);
    missing -= raise;
    const auto each = static_cast<std::uint64_t>(raise / range.count);
    const auto one_more = static_cast<std::uint64_t>(raise % range.count);
    record(range.low + each + 1, one_more);
    record(range.low + each, range.count - one_more);
  }
  return missing == 0;
}

sample_range range_at(const json::value& v, const place& at) {
  using layout = detail::histogram_layout;
  const json::array& pair = list_at(v, at, 2);
  if (pair.size() != 2) at.fail("expected [lower bound in ns, count]");
  constexpr auto latest = static_cast<std::uint64_t>(duration::max().count());
  sample_range range;
  range.low = whole_number_at(pair[0], place{&at, {}, 0}, latest);
  const std::size_t bucket = layout::index(range.low);
  if (layout::low(bucket) != range.low) at.fail("expected the lower bound of a bucket, found " + std::to_string(range.low));
  range.high = bucket + 1 == layout::buckets ? latest : layout::low(bucket + 1) - 1;
  range.count = whole_number_at(pair[1], place{&at, {}, 1}, max_count);
  if (range.count == 0) at.fail("expected a bucket that is not empty");
  return range;
}

histogram histogram_at(const json::value& v, const place& at) {
  using layout = detail::histogram_layout;
  const json::object& parts = object_at(v, at);
  const auto part = [&](std::string_view name) -> const json::value& {
    const json::value* found = parts.if_contains(name);
    if (found == nullptr) place{&at, name}.fail("missing");
    return *found;
  };
  constexpr auto latest = static_cast<std::uint64_t>(duration::max().count());
  const place at_buckets{&at, "buckets"};
  std::vector<sample_range> ranges;
  std::uint64_t total = 0;
  const json::array& buckets = list_at(part("buckets"), at_buckets, layout::buckets);
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const place here{&at_buckets, {}, i};
    ranges.push_back(range_at(buckets[i], here));
    if (i > 0 && ranges[i].low <= ranges[i - 1].low) here.fail("expected buckets in ascending order");
    total += ranges[i].count;
    if (total > max_count) here.fail("expected at most " + std::to_string(max_count) + " samples");
  }
  histogram h;
  if (ranges.empty()) return h;
  const std::size_t octaves =
      layout::index(ranges.back().low) / layout::per_octave - layout::index(ranges.front().low) / layout::per_octave + 1;
  std::size_t& left = *at.root().histogram_bytes;
  const std::size_t bytes = octaves * layout::per_octave * sizeof(std::uint64_t);
  if (bytes > left) at.fail("too many histograms for one run");
  left -= bytes;
  const std::uint64_t min = whole_number_at(part("min_ns"), place{&at, "min_ns"}, latest);
  const std::uint64_t max = whole_number_at(part("max_ns"), place{&at, "max_ns"}, latest);
  const std::uint64_t sum = whole_number_at(part("sum_ns"), place{&at, "sum_ns"}, latest);
  if (!restore(ranges, min, max, sum, h)) at.fail("expected min_ns, max_ns and sum_ns that fit the buckets");
  return h;
}

/// Reads the members of one object.
class reader {
 public:
  template <class T>
  using ref = T&;

  reader(const json::value& v, const place& at) : object_(object_at(v, at)), at_(at) {}

  template <class T>
  void operator()(std::string_view name, T& member) {
    const place here{&at_, name};
    const json::value* v = object_.if_contains(name);
    if (v == nullptr) here.fail("missing");
    read(*v, member, here);
  }

 private:
  static void read(const json::value& v, std::uint64_t& to, const place& at) { to = whole_number_at(v, at); }
  static void read(const json::value& v, std::uint32_t& to, const place& at) {
    to = static_cast<std::uint32_t>(whole_number_at(v, at, std::numeric_limits<std::uint32_t>::max()));
  }
  static void read(const json::value& v, bool& to, const place& at) {
    if (!v.is_bool()) at.expected("true or false", v);
    to = v.get_bool();
  }
  static void read(const json::value& v, double& to, const place& at) {
    if (v.is_null()) {  // what a number that is not finite is written as
      to = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    if (!v.is_number()) at.expected("a number", v);
    to = v.to_number<double>();
    if (!std::isfinite(to)) at.fail("expected a finite number");
  }
  static void read(const json::value& v, std::optional<double>& to, const place& at) {
    to.reset();
    if (!v.is_null()) read(v, to.emplace(), at);
  }
  static void read(const json::value& v, std::string& to, const place& at) {
    if (!v.is_string()) at.expected("a string", v);
    if (v.get_string().size() > max_text_bytes) at.fail("expected at most " + std::to_string(max_text_bytes) + " bytes");
    to.assign(v.get_string().data(), v.get_string().size());
  }
  static void read(const json::value& v, duration& to, const place& at) { to = duration_at(v, at); }
  static void read(const json::value& v, load::verdict_counts& to, const place& at) {
    reader counts(v, at);
    for (std::size_t i = 0; i < to.size(); ++i) counts(to_string(static_cast<load::verdict>(i)), to[i]);
  }
  static void read(const json::value& v, histogram& to, const place& at) { to = histogram_at(v, at); }

  template <class Key>
  static void read(const json::value& v, std::map<Key, std::uint64_t>& to, const place& at) {
    const json::object& counts = object_at(v, at);
    if (counts.size() > max_items) at.fail("expected at most " + std::to_string(max_items) + " members");
    to.clear();
    for (const auto& member : counts) {
      const place here{&at, member.key()};
      to[key_at(member.key(), here, Key{})] = whole_number_at(member.value(), here);
    }
  }
  static std::string key_at(std::string_view text, const place& at, const std::string&) {
    if (text.size() > max_text_bytes) at.fail("name too long");
    return std::string(text);
  }
  static unsigned key_at(std::string_view text, const place& at, unsigned) {
    unsigned status = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
    if (error != std::errc{} || end != text.data() + text.size() || status > 999)
      at.fail("expected an HTTP status as name");
    return status;
  }

  template <class T>
  static void read(const json::value& v, std::vector<T>& to, const place& at) {
    constexpr bool by_second = std::is_same_v<T, load::second_result> || std::is_same_v<T, std::uint32_t>;
    const json::array& items = list_at(v, at, by_second ? max_seconds : max_items);
    to.clear();
    to.resize(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) read(items[i], to[i], place{&at, {}, i});
  }
  template <class T>
  static void read(const json::value& v, T& to, const place& at) {
    reader inner(v, at);
    fields(inner, to);
  }

  const json::object& object_;
  const place& at_;
};

}  // namespace

load::run_result from_json(const boost::json::value& document, const std::string& source) {
  std::size_t histogram_bytes = max_histogram_bytes;
  const place root{nullptr, {}, 0, &source, &histogram_bytes};
  const json::object& top = object_at(document, root);
  const place at{&root, "weir"};
  const json::value* ours = top.if_contains("weir");
  if (ours == nullptr) root.fail("expected the member 'weir': this is not a result of weir");
  reader in(*ours, at);
  std::uint64_t version = 0;
  in("version", version);
  if (version != json_version) {
    place{&at, "version"}.fail("expected " + std::to_string(json_version) + ", found " + std::to_string(version) +
                               ": written by another version of weir");
  }
  load::run_result run;
  fields(in, run);
  return run;
}

load::run_result read_run(const std::string& file) {
  const place root{nullptr, {}, 0, &file};
  std::ifstream in(file, std::ios::binary);
  if (!in) root.fail("cannot be opened");
  std::string text;
  // Read piece by piece up to the bound: the name may be a pipe or a device, which has no size to ask for.
  std::string piece(std::size_t{1} << 16U, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    text.append(piece, 0, static_cast<std::size_t>(in.gcount()));
    if (text.size() > max_file_bytes) root.fail("larger than " + bytes_text(static_cast<double>(max_file_bytes)));
  }
  if (in.bad()) root.fail("cannot be read");
  boost::system::error_code error;
  json::stream_parser parser;
  const std::size_t consumed = parser.write_some(text.data(), text.size(), error);
  if (!error && consumed < text.size() && text.find_first_not_of(" \t\r\n", consumed) != std::string::npos) {
    error = json::error::extra_data;
  }
  if (!error) parser.finish(error);
  if (error) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(consumed), '\n');
    root.fail("not JSON: " + error.message() + " in line " + std::to_string(line));
  }
  return from_json(parser.release(), file);
}

}  // namespace weir::report
