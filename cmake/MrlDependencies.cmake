# Every outside package, found once. What a package is for stands beside it.

find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED)               # FAISS's config asks for its target
find_package(Protobuf REQUIRED)             # messages; module mode, Debian ships no config file
find_package(absl CONFIG REQUIRED)          # Status, strings, containers, synchronization
find_package(gRPC CONFIG REQUIRED)          # RPC
if(MRL_FAISS_GPU)
  set(faiss_ROOT "${MRL_FAISS_GPU}")
  find_package(CUDAToolkit REQUIRED)        # its config names CUDA's targets
endif()
find_package(faiss CONFIG REQUIRED)         # coarse kind `faiss`, seen by index/coarse only
find_package(RocksDB CONFIG REQUIRED)       # manifest and id map, seen by index/collection only
find_package(yaml-cpp CONFIG REQUIRED)      # server configuration files
find_package(nlohmann_json CONFIG REQUIRED) # payloads and --json output
find_package(spdlog CONFIG REQUIRED)        # server log
find_package(CLI11 CONFIG REQUIRED)         # command lines
find_package(OpenSSL REQUIRED)              # hashes of API keys, checks of certificates
find_package(GTest CONFIG REQUIRED)         # tests

find_path(MRL_XXHASH_INCLUDE xxhash.h REQUIRED)  # checksums; header-only use
add_library(mrl_dep_xxhash INTERFACE)
target_include_directories(mrl_dep_xxhash SYSTEM INTERFACE "${MRL_XXHASH_INCLUDE}")
add_library(mrl::dep::xxhash ALIAS mrl_dep_xxhash)

# HTTP port. The macros are those that Debian built the library with: they change its classes.
find_path(MRL_HTTPLIB_INCLUDE httplib.h REQUIRED)
find_library(MRL_HTTPLIB cpp-httplib REQUIRED)
add_library(mrl_dep_httplib INTERFACE)
target_include_directories(mrl_dep_httplib SYSTEM INTERFACE "${MRL_HTTPLIB_INCLUDE}")
target_compile_definitions(mrl_dep_httplib INTERFACE CPPHTTPLIB_OPENSSL_SUPPORT
                           CPPHTTPLIB_ZLIB_SUPPORT CPPHTTPLIB_BROTLI_SUPPORT)
target_link_libraries(mrl_dep_httplib INTERFACE "${MRL_HTTPLIB}" OpenSSL::SSL)
add_library(mrl::dep::httplib ALIAS mrl_dep_httplib)

# /metrics. Its config file asks for the packages of its pushing and pulling parts, which are unused.
find_path(MRL_PROMETHEUS_INCLUDE prometheus/metric_family.h REQUIRED)
find_library(MRL_PROMETHEUS prometheus-cpp-core REQUIRED)
add_library(mrl_dep_prometheus INTERFACE)
target_include_directories(mrl_dep_prometheus SYSTEM INTERFACE "${MRL_PROMETHEUS_INCLUDE}")
target_link_libraries(mrl_dep_prometheus INTERFACE "${MRL_PROMETHEUS}")
add_library(mrl::dep::prometheus ALIAS mrl_dep_prometheus)

# OpenBLAS by name: otherwise FAISS gets the reference BLAS, which is an order of magnitude slower.
find_library(MRL_OPENBLAS openblas REQUIRED)
find_path(MRL_OPENBLAS_INCLUDE openblas_config.h PATH_SUFFIXES openblas-pthread openblas REQUIRED)
add_library(mrl_dep_blas INTERFACE)
target_include_directories(mrl_dep_blas SYSTEM INTERFACE "$<BUILD_INTERFACE:${MRL_OPENBLAS_INCLUDE}>")
target_link_libraries(mrl_dep_blas INTERFACE "${MRL_OPENBLAS}")
add_library(mrl::dep::blas ALIAS mrl_dep_blas)

add_library(mrl_dep_faiss INTERFACE)
target_link_libraries(mrl_dep_faiss INTERFACE faiss OpenMP::OpenMP_CXX mrl_dep_blas)
add_library(mrl::dep::faiss ALIAS mrl_dep_faiss)

# google/rpc and google/longrunning protos come from the wheel googleapis-common-protos.
execute_process(
  COMMAND "${MRL_PYTHON}" -c "import google.rpc, os; print(os.path.dirname(os.path.dirname(list(google.rpc.__path__)[0])))"
  OUTPUT_VARIABLE MRL_GOOGLEAPIS_DIR OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE found)
if(NOT found EQUAL 0 OR NOT EXISTS "${MRL_GOOGLEAPIS_DIR}/google/rpc/error_details.proto")
  message(FATAL_ERROR "MRL_PYTHON=${MRL_PYTHON} lacks googleapis-common-protos; "
                      "run deploy/setup.sh, or pass a Python that has deploy/requirements.txt installed")
endif()
