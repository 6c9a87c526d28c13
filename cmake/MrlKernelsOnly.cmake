# With MRL_KERNELS_ONLY: the kernels and their tests, for a CPU that the other libraries are not
# installed for. GoogleTest comes from its sources, as Debian's package `googletest` has them.
add_subdirectory(/usr/src/googletest googletest)
add_subdirectory(index/kernels)
add_subdirectory(tests/unit/kernels)
