# cmake -D PROGRAM=... -D EXPECTED=... -P check_output.cmake: runs the program; it must end with 0 and print just that file.
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE printed ERROR_VARIABLE complaints RESULT_VARIABLE status)
file(READ ${EXPECTED} expected)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "ended with ${status}\n${printed}${complaints}")
endif()
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "printed:\n${printed}\nbut ${EXPECTED} says:\n${expected}")
endif()
