# What is installed, by component: server (mrl-server), tools (mrl-index, mrl), dev (the C++ client,
# static, as the CMake package `mrl` with the target mrl::client, and the .proto files). Manual pages,
# completions and the service's files are in deploy/CMakeLists.txt.

include(CMakePackageConfigHelpers)

install(TARGETS mrl-index DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
if(TARGET mrl)
  install(TARGETS mrl DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT tools)
endif()
if(TARGET mrl-server)
  install(TARGETS mrl-server DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT server)
endif()

# mrl_closure(TARGET OUT): TARGET and all of our own libraries that it links.
function(mrl_closure TARGET OUT)
  set(found ${TARGET})
  get_target_property(links ${TARGET} INTERFACE_LINK_LIBRARIES)
  foreach(link IN LISTS links)
    if(NOT TARGET "${link}")
      continue()
    endif()
    get_target_property(name "${link}" ALIASED_TARGET)
    if(NOT name)
      set(name "${link}")
    endif()
    if(name MATCHES "^mrl_")
      mrl_closure(${name} more)
      list(APPEND found ${more})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES found)
  set(${OUT} ${found} PARENT_SCOPE)
endfunction()

if(TARGET mrl_client)
  # Headers keep their paths, below a folder of their own: #include "client/cpp/client.h".
  set(MRL_INCLUDE "${CMAKE_INSTALL_INCLUDEDIR}/mrl")
  mrl_closure(mrl_client parts)
  foreach(part IN LISTS parts)
    string(REGEX REPLACE "^mrl_" "" name ${part})
    set_target_properties(${part} PROPERTIES EXPORT_NAME ${name})
  endforeach()
  install(TARGETS ${parts} EXPORT mrl-targets
          ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT dev)
  install(EXPORT mrl-targets NAMESPACE mrl:: DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mrl"
          COMPONENT dev)
  install(FILES cmake/mrl-config.cmake DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mrl"
          COMPONENT dev)
  write_basic_package_version_file("${CMAKE_BINARY_DIR}/mrl-config-version.cmake"
                                   COMPATIBILITY SameMinorVersion)
  install(FILES "${CMAKE_BINARY_DIR}/mrl-config-version.cmake"
          DESTINATION "${CMAKE_INSTALL_LIBDIR}/cmake/mrl" COMPONENT dev)
  install(DIRECTORY client/cpp DESTINATION "${MRL_INCLUDE}/client" COMPONENT dev
          FILES_MATCHING PATTERN "*.h")
  install(DIRECTORY "${CMAKE_BINARY_DIR}/proto/generated/" DESTINATION "${MRL_INCLUDE}"
          COMPONENT dev FILES_MATCHING PATTERN "*.h")
  install(DIRECTORY proto/mrl DESTINATION share/mrl/proto COMPONENT dev
          FILES_MATCHING PATTERN "*.proto")
endif()
