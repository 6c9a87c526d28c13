# MRL_GPU: CUDA C++ in index/coarse/gpu. The CUDA runtime is linked statically and finds the driver
# when the program runs, so the program starts where there is none.

if(NOT MRL_GPU)
  return()
endif()
set(CMAKE_CUDA_ARCHITECTURES "80;90" CACHE STRING
    "Compute capabilities: 70 to 90 with CUDA 12, 75 to 120 with CUDA 13; newer devices compile the last at start")
find_program(CMAKE_CUDA_COMPILER nvcc HINTS /usr/local/cuda/bin REQUIRED)
enable_language(CUDA)
# The CMake of Debian 12 does not know that CUDA 12 and 13 take this flag.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -g1 -lineinfo")
if(MRL_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${MRL_CCACHE}")
endif()
