# One helper per kind of target. Flags that every target shares stand here and nowhere else.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")

find_program(MRL_CCACHE ccache)
if(MRL_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${MRL_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${MRL_CCACHE}")
endif()

add_library(mrl_flags INTERFACE)
target_compile_options(mrl_flags INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wnon-virtual-dtor;-Werror>"
  "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Wall>")
target_include_directories(mrl_flags INTERFACE "${CMAKE_SOURCE_DIR}")
if(MRL_SANITIZE)
  add_compile_options(-fsanitize=${MRL_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MRL_SANITIZE})
else()
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-D_FORTIFY_SOURCE=2>
                      $<$<COMPILE_LANGUAGE:C,CXX>:-fstack-protector-strong>)
  add_link_options(-Wl,-z,relro,-z,now)
endif()

# Under ThreadSanitizer every program has the stand-ins for Abseil's locks.
set(MRL_TSAN_OBJECTS)
if(MRL_SANITIZE STREQUAL "thread")
  add_library(mrl_tsan OBJECT "${CMAKE_SOURCE_DIR}/tests/support/tsan_mutex.cc")
  set(MRL_TSAN_OBJECTS $<TARGET_OBJECTS:mrl_tsan>)
endif()

# mrl_module(NAME SOURCES a.cc b.cc DEPS mrl::base ...): the static library of one folder, as mrl::NAME.
function(mrl_module NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(mrl_${NAME} STATIC ${ARG_SOURCES})
  add_library(mrl::${NAME} ALIAS mrl_${NAME})
  target_link_libraries(mrl_${NAME} PUBLIC ${ARG_DEPS} PRIVATE $<BUILD_INTERFACE:mrl_flags>)
  target_include_directories(mrl_${NAME} PUBLIC "$<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>"
                             "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/mrl>")
endfunction()

# mrl_program(NAME SOURCES main.cc ... DEPS ...): a program under bin/.
function(mrl_program NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES} ${MRL_TSAN_OBJECTS})
  target_link_libraries(${NAME} PRIVATE ${ARG_DEPS} mrl_flags)
endfunction()

# mrl_test(NAME SOURCES a_test.cc ... DEPS ...): one GoogleTest binary per module, one ctest entry per
# binary. ARGS and ENVIRONMENT are passed to the run.
function(mrl_test NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;ENVIRONMENT;LABELS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES} ${MRL_TSAN_OBJECTS})
  target_link_libraries(${NAME} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main mrl_flags)
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  add_test(NAME ${NAME} COMMAND ${NAME})
  set_tests_properties(${NAME} PROPERTIES TIMEOUT 600 LABELS "${ARG_LABELS}"
    ENVIRONMENT "MRL_SOURCE_DIR=${CMAKE_SOURCE_DIR};OMP_NUM_THREADS=1;OPENBLAS_NUM_THREADS=1;${ARG_ENVIRONMENT}")
endfunction()

# Runs the cases of a test program that FILTER names once per instruction set: the table of kernels is chosen once
# per process. The program has tests/support/instruction_set.cc among its sources, which skips a set that the CPU lacks.
function(mrl_test_sets NAME FILTER)
  foreach(set scalar avx2 avx512 avx512icl)
    add_test(NAME ${NAME}_${set} COMMAND ${NAME} --gtest_filter=${FILTER})
    set_tests_properties(${NAME}_${set} PROPERTIES TIMEOUT 600 SKIP_REGULAR_EXPRESSION "this CPU lacks ${set}"
      ENVIRONMENT "MRL_CPU=${set};MRL_SOURCE_DIR=${CMAKE_SOURCE_DIR};OMP_NUM_THREADS=1;OPENBLAS_NUM_THREADS=1")
  endforeach()
endfunction()
