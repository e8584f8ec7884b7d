# The CUDA kernels where there is no GPU: their sources compiled as C++ (tests/emulator) take the place of the stand-ins
# that a build without CUDA has, and serve the CPU's tensors. The tests are those of the other program.
find_package(Boost 1.74 REQUIRED COMPONENTS context)
file(GLOB emulated_sources CONFIGURE_DEPENDS lib/backend/cuda/*.cu)
set_source_files_properties(${emulated_sources} PROPERTIES LANGUAGE CXX)
add_library(mtlora_emulated_kernels OBJECT ${emulated_sources} tests/emulator/block.cpp)
target_include_directories(mtlora_emulated_kernels PRIVATE tests/emulator ${CMAKE_CURRENT_SOURCE_DIR})
mtlora_warnings(mtlora_emulated_kernels)
target_compile_options(mtlora_emulated_kernels PRIVATE -O3 -fno-strict-aliasing -Wno-unknown-pragmas)
target_link_libraries(mtlora_emulated_kernels PRIVATE Boost::context)

add_executable(mtlora_emulated_tests tests/emulator/device.cpp tests/emulator/nccl.cpp tests/emulator/recorder.cpp
               tests/emulator/block_test.cpp tests/emulator/kernels_test.cpp tests/emulator/recorder_test.cpp
               $<TARGET_OBJECTS:mtlora_tests> $<TARGET_OBJECTS:mtlora_emulated_kernels>)
target_link_libraries(mtlora_emulated_tests PRIVATE ${MTLORA_LINKED_FIRST} mtlora_core Catch2::Catch2 Boost::context)
foreach(tag emulator backend models adapters recorded)
  add_test(NAME emulated_${tag} COMMAND mtlora_emulated_tests "[${tag}]" ${runner_flags})
  set_tests_properties(emulated_${tag} PROPERTIES ENVIRONMENT "${test_environment}" TIMEOUT 900
                       FAIL_REGULAR_EXPRESSION "No test cases matched")
endforeach()
