# weir/weir.hpp includes every public header of the layers that need no Asio, and nothing else.
file(GLOB_RECURSE headers RELATIVE ${INCLUDE_DIR} ${INCLUDE_DIR}/weir/*.hpp)
list(FILTER headers INCLUDE REGEX "^weir/((core|stats|policy|queue|pool|room|pipeline)/[a-z0-9_]+|version)\\.hpp$")
list(FILTER headers EXCLUDE REGEX "^weir/room/(hmac_signer|lottery_commitment|room_core|room_metrics|room_snapshot|sqlite_room_store|waiting_room)")   # of a compiled part
list(SORT headers)

file(STRINGS ${INCLUDE_DIR}/weir/weir.hpp lines REGEX "^#include")
set(included "")
foreach(line ${lines})
  string(REGEX REPLACE "^#include <(.*)>$" "\\1" header "${line}")
  list(APPEND included ${header})
endforeach()
list(SORT included)

if(NOT headers STREQUAL included)
  set(missing ${headers})
  list(REMOVE_ITEM missing ${included})
  list(REMOVE_ITEM included ${headers})
  message(FATAL_ERROR "weir/weir.hpp does not include: ${missing}\nand includes beyond the layers: ${included}")
endif()
list(LENGTH headers count)
message(STATUS "weir/weir.hpp includes all ${count} headers")
