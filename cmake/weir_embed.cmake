# weir_embed(TARGET NAMESPACE ns FILES name=path ...): compiles files into TARGET, as one unit; <ns>::name() gives one as
# std::string_view. As a script (cmake -P) it turns one file into the part of that unit which has it.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${input}" bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  # 0x00 at the end: an array of no elements is not C++.
  file(WRITE "${output}.new" "// Generated from ${input}.\n"
    "namespace {\nconstexpr unsigned char ${name}_bytes[] = {${bytes}0x00};\n}\n"
    "namespace ${namespace} {\nstd::string_view ${name}() noexcept;\nstd::string_view ${name}() noexcept {\n"
    "  return {reinterpret_cast<const char*>(${name}_bytes), sizeof(${name}_bytes) - 1};\n}\n}\n")
  file(RENAME "${output}.new" "${output}")
  return()
endif()

set(WEIR_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(weir_embed target)
  cmake_parse_arguments(arg "" "NAMESPACE" "FILES" ${ARGN})
  set(unit ${CMAKE_CURRENT_BINARY_DIR}/embedded_in_${target}.cpp)
  set(text "#include <string_view>\n")
  set(parts "")
  foreach(entry IN LISTS arg_FILES)
    string(FIND "${entry}" "=" at)
    string(SUBSTRING "${entry}" 0 ${at} name)
    math(EXPR at "${at} + 1")
    string(SUBSTRING "${entry}" ${at} -1 input)
    cmake_path(ABSOLUTE_PATH input BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set(part ${CMAKE_CURRENT_BINARY_DIR}/embedded_${name}.inc)
    add_custom_command(OUTPUT ${part}
      COMMAND ${CMAKE_COMMAND} -Dinput=${input} -Doutput=${part} -Dnamespace=${arg_NAMESPACE} -Dname=${name}
              -P ${WEIR_EMBED_SCRIPT}
      DEPENDS ${input} ${WEIR_EMBED_SCRIPT} VERBATIM)
    list(APPEND parts ${part})
    string(APPEND text "#include \"embedded_${name}.inc\"\n")
  endforeach()
  file(CONFIGURE OUTPUT ${unit} CONTENT "${text}" @ONLY)
  set_property(SOURCE ${unit} PROPERTY OBJECT_DEPENDS ${parts})
  target_sources(${target} PRIVATE ${unit} ${parts})
endfunction()
