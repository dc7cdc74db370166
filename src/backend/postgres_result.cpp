#include <weir/backend/postgres.hpp>

#include <cstdlib>

#include <libpq-fe.h>

namespace weir::inline v0 {

void detail::clear_postgres_result::operator()(pg_result* result) const noexcept { PQclear(result); }

std::size_t postgres_result::rows() const noexcept { return static_cast<std::size_t>(PQntuples(result_.get())); }
std::size_t postgres_result::columns() const noexcept { return static_cast<std::size_t>(PQnfields(result_.get())); }
std::string_view postgres_result::name(std::size_t column) const {
  if (column >= columns()) throw std::out_of_range("postgres_result: no column " + std::to_string(column));
  return PQfname(result_.get(), static_cast<int>(column));
}
std::size_t postgres_result::column(std::string_view wanted) const {
  for (std::size_t i = 0; i < columns(); ++i) {
    if (name(i) == wanted) return i;
  }
  throw std::out_of_range("postgres_result: no column '" + std::string{wanted} + "'");
}
std::size_t postgres_result::affected() const noexcept {
  return static_cast<std::size_t>(std::strtoull(PQcmdTuples(result_.get()), nullptr, 10));
}
bool postgres_result::is_null(std::size_t row, std::size_t column) const {
  if (row >= rows() || column >= columns()) throw std::out_of_range("postgres_result: no such field");
  return PQgetisnull(result_.get(), static_cast<int>(row), static_cast<int>(column)) != 0;
}
std::string_view postgres_result::text(std::size_t row, std::size_t column) const {
  if (is_null(row, column)) return "";
  const int r = static_cast<int>(row), c = static_cast<int>(column);
  return {PQgetvalue(result_.get(), r, c), static_cast<std::size_t>(PQgetlength(result_.get(), r, c))};
}
void postgres_result::not_a(const char* type, std::size_t row, std::size_t column) const {
  const bool null = is_null(row, column);
  throw postgres_error("row " + std::to_string(row) + ", column '" + std::string{name(column)} +
                           "': " + (null ? "NULL" : "'" + std::string{text(row, column)} + "'") + " is no " + type,
                       null ? "22004" : "22018");
}

}  // namespace weir::inline v0
