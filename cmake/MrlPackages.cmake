# The .deb packages mrl-server, mrl-tools and libmrl-dev, a component each:
#   cmake --preset package && cmake --build --preset package && cpack --preset package

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mrl)
set(CPACK_PACKAGE_VENDOR mrl)
set(CPACK_PACKAGE_CONTACT "mrl maintainers <mrl@localhost>" CACHE STRING "Maintainer of packages")
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}/packages")
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_SET_DESTDIR ON)  # the configuration goes to /etc, outside of the prefix
set(CPACK_COMPONENTS_ALL server tools dev)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# FAISS takes whatever stands in as libblas.so.3; alone, apt would pick the reference BLAS, which is an
# order of magnitude slower.
set(blas libopenblas0)

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME mrl-server)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION database)
set(CPACK_DEBIAN_SERVER_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_SERVER_DEBUGINFO_PACKAGE ON)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "adduser, ${blas}")
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS mrl-tools)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
    "${CMAKE_SOURCE_DIR}/deploy/debian/conffiles" "${CMAKE_SOURCE_DIR}/deploy/debian/postinst"
    "${CMAKE_SOURCE_DIR}/deploy/debian/prerm" "${CMAKE_SOURCE_DIR}/deploy/debian/postrm")
set(CPACK_COMPONENT_SERVER_DESCRIPTION
    "mrl-server answers nearest-neighbour queries over gRPC: a short prefix of
every vector finds a shortlist, longer prefixes rank it.")

set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME mrl-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION database)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_TOOLS_DEBUGINFO_PACKAGE ON)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS ${blas})
set(CPACK_COMPONENT_TOOLS_DESCRIPTION
    "mrl-index builds, checks, searches and measures collections without a
server; mrl asks a running mrl-server.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libmrl-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libabsl-dev, libgrpc++-dev, libprotobuf-dev")
set(CPACK_COMPONENT_DEV_DESCRIPTION
    "The C++ client as a static library with headers and a CMake package, and
the API as .proto files for other languages.")

# What every Debian package says about itself.
string(TIMESTAMP MRL_CHANGELOG_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(deploy/debian/changelog.in "${CMAKE_BINARY_DIR}/changelog" @ONLY)
find_program(MRL_GZIP gzip REQUIRED)
add_custom_command(
  OUTPUT "${CMAKE_BINARY_DIR}/changelog.Debian.gz"
  COMMAND "${MRL_GZIP}" -9nc "${CMAKE_BINARY_DIR}/changelog" > "${CMAKE_BINARY_DIR}/changelog.Debian.gz"
  DEPENDS "${CMAKE_BINARY_DIR}/changelog")
add_custom_target(package_changelog ALL DEPENDS "${CMAKE_BINARY_DIR}/changelog.Debian.gz")
foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(folder "share/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME}")
  install(FILES deploy/debian/copyright "${CMAKE_BINARY_DIR}/changelog.Debian.gz"
          DESTINATION ${folder} COMPONENT ${component})
endforeach()

include(CPack)
