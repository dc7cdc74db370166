# weir_test(NAME [LIBRARIES ...] [IN_ONE] [OWN_OPTIONS] [TIMEOUT SECONDS] SOURCES ...): a GoogleTest program whose cases ctest
# runs one by one; IN_ONE: all in one process, since they share something that is costly to start; OWN_OPTIONS: a library
# brings options of the compiler.
include(GoogleTest)

# Compiling GoogleTest's headers is most of a small test's cost: all programs share one PCH. What a library defines beside does
# not matter to GCC and Clang as long as none of these headers asks for it.
set(weir_test_pch <gtest/gtest.h> <gmock/gmock.h> <chrono> <string> <vector>)

add_library(weir_test_flags INTERFACE)
target_link_libraries(weir_test_flags INTERFACE weir::weir weir_build_flags GTest::gmock GTest::gtest_main)
target_include_directories(weir_test_flags INTERFACE ${PROJECT_SOURCE_DIR}/tests)
target_compile_definitions(weir_test_flags INTERFACE WEIR_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

file(CONFIGURE OUTPUT pch_owner.cpp CONTENT "// Owns the precompiled header that the test programs share.\n")
add_library(weir_test_pch OBJECT ${CMAKE_CURRENT_BINARY_DIR}/pch_owner.cpp)
target_link_libraries(weir_test_pch PRIVATE weir_test_flags)
target_precompile_headers(weir_test_pch PRIVATE ${weir_test_pch})

function(weir_test name)
  cmake_parse_arguments(arg "IN_ONE;OWN_OPTIONS" "TIMEOUT" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE weir_test_flags ${arg_LIBRARIES})
  if(arg_OWN_OPTIONS)
    target_precompile_headers(${name} PRIVATE ${weir_test_pch})
  else()
    target_precompile_headers(${name} REUSE_FROM weir_test_pch)
  endif()
  if(arg_IN_ONE)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
  else()
    gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${arg_TIMEOUT})
  endif()
endfunction()
