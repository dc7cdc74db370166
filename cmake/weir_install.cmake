# Install, export and pkg-config. find_package(weir COMPONENTS observe) finds what was built; headers need no component.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(weir_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/weir)

set(not_installed "")
if(NOT TARGET weir_observe)
  list(APPEND not_installed PATTERN observe/spdlog_observer.hpp EXCLUDE)
endif()
if(NOT TARGET weir_prometheus)
  list(APPEND not_installed PATTERN observe/prometheus_collector.hpp EXCLUDE)
endif()
if(NOT TARGET weir_room)
  list(APPEND not_installed PATTERN asio/room.hpp EXCLUDE PATTERN asio/room_requests.hpp EXCLUDE
    PATTERN asio/room_entry.hpp EXCLUDE PATTERN asio/detail/turn_operation.hpp EXCLUDE)
  foreach(header hmac_signer lottery_commitment room_core room_metrics room_snapshot sqlite_room_store waiting_room)
    list(APPEND not_installed PATTERN room/${header}.hpp EXCLUDE)
  endforeach()
endif()
if(NOT TARGET weir_http)
  list(APPEND not_installed PATTERN weir/http EXCLUDE)
endif()
foreach(backend sqlite postgres redis)
  if(NOT TARGET weir_${backend})
    list(APPEND not_installed PATTERN backend/${backend}.hpp EXCLUDE)
  endif()
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp"
  ${not_installed})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(TARGETS weir EXPORT weirTargets)
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${weir_config_dir})

# Each compiled part is a component with an export file of its own, so that a user finds only what it asks for.
foreach(component observe prometheus room http sqlite postgres redis)
  if(TARGET weir_${component})
    set_target_properties(weir_${component} PROPERTIES EXPORT_NAME ${component})
    install(TARGETS weir_${component} EXPORT weir_${component}Targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT weir_${component}Targets NAMESPACE weir:: DESTINATION ${weir_config_dir})
  endif()
endforeach()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/weirConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake
  INSTALL_DESTINATION ${weir_config_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake
  DESTINATION ${weir_config_dir})

# Header-only, so not specific to an architecture: share/, not lib/.
configure_file(${CMAKE_CURRENT_LIST_DIR}/weir.pc.in ${CMAKE_CURRENT_BINARY_DIR}/weir.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
