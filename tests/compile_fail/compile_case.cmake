# Compiles SOURCE with COMPILER: must succeed without WEIR_MISUSE, and fail as expected with it.
file(STRINGS ${SOURCE} expectation REGEX "^// expect: ")
string(REGEX REPLACE "^// expect: " "" expectation "${expectation}")
if(expectation STREQUAL "")
  message(FATAL_ERROR "${SOURCE}: no \"// expect: \" line")
endif()

set(command ${COMPILER} -std=c++20 -fsyntax-only -Wall -Wextra -Werror)
foreach(directory ${INCLUDE_DIRS})
  list(APPEND command -idirafter ${directory})   # one of them is /usr/include, which must stay last
endforeach()

execute_process(COMMAND ${command} ${SOURCE} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "the right use does not compile:\n${output}")
endif()

execute_process(COMMAND ${command} -DWEIR_MISUSE ${SOURCE} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
  message(FATAL_ERROR "the misuse compiles")
endif()
if(NOT output MATCHES "${expectation}")
  message(FATAL_ERROR "the misuse fails with other words than \"${expectation}\":\n${output}")
endif()
