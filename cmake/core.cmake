# The part that computes with tensors, and the program.
include(cmake/torch.cmake)
find_package(CLI11 REQUIRED)
pkg_check_modules(ZIP REQUIRED IMPORTED_TARGET libzip)

set(core_sources)
foreach(folder weights backend nn models adapters optim generate train run)
  file(GLOB sources CONFIGURE_DEPENDS lib/${folder}/*.cpp)
  list(APPEND core_sources ${sources})
endforeach()

# The kernels see no LibTorch: plain C++ on pointers, compiled for the instructions they are chosen for at run time.
file(GLOB kernel_sources CONFIGURE_DEPENDS lib/backend/cpu/*.cpp)
if(kernel_sources)
  add_library(mtlora_kernels STATIC ${kernel_sources})
  target_include_directories(mtlora_kernels PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_options(mtlora_kernels PRIVATE -O3)
  target_link_libraries(mtlora_kernels PUBLIC mtlora_base)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(avx512_flags -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -ffp-contract=fast)
    file(GLOB avx512_sources CONFIGURE_DEPENDS lib/backend/cpu/*_avx512.cpp)
    set_source_files_properties(${avx512_sources} PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
    file(GLOB bf16_sources CONFIGURE_DEPENDS lib/backend/cpu/*_avx512bf16.cpp)
    set_source_files_properties(${bf16_sources} PROPERTIES COMPILE_OPTIONS
      "${avx512_flags};-mavx512bf16")
    file(GLOB amx_sources CONFIGURE_DEPENDS lib/backend/cpu/*_amx.cpp)
    set_source_files_properties(${amx_sources} PROPERTIES COMPILE_OPTIONS
      "${avx512_flags};-mavx512bf16;-mamx-tile;-mamx-bf16")
  endif()
  mtlora_warnings(mtlora_kernels)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # its own AVX-512 headers warn where they are inlined
    target_compile_options(mtlora_kernels PRIVATE -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
endif()

# The same of a CUDA device: kernels on pointers, and what LibTorch is asked for on it. A build without CUDA has stand-ins
# that are never reached.
if(MTLORA_HAS_CUDA)
  file(GLOB cuda_sources CONFIGURE_DEPENDS lib/backend/cuda/*.cu)
  add_library(mtlora_cuda_kernels STATIC ${cuda_sources})
  target_include_directories(mtlora_cuda_kernels PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_compile_options(mtlora_cuda_kernels PRIVATE -O3 --expt-relaxed-constexpr)
  set(with_cuda_headers lib/backend/cuda/runtime.cpp lib/backend/cuda/profile.cpp)
  set(nccl lib/backend/cuda/absent_nccl.cpp)
  if(MTLORA_HAS_NCCL)
    set(nccl lib/backend/cuda/nccl.cpp)
  endif()
  set_source_files_properties(${with_cuda_headers} PROPERTIES COMPILE_OPTIONS "-isystem;${NVCC_INCLUDE_DIR}")
  set_source_files_properties(lib/backend/cuda/nccl.cpp PROPERTIES COMPILE_OPTIONS
    "-isystem;${NVCC_INCLUDE_DIR};-isystem;${NCCL_INCLUDE_DIR}")
  list(APPEND core_sources ${with_cuda_headers} ${nccl})
else()
  list(APPEND core_sources lib/backend/cuda/absent.cpp lib/backend/cuda/absent_kernels.cpp
       lib/backend/cuda/absent_nccl.cpp)
endif()

add_library(mtlora_core STATIC ${core_sources})
if(MTLORA_HAS_CUDA)
  target_link_libraries(mtlora_core PUBLIC mtlora_cuda_kernels)
endif()
# Not torch/torch.h: a third of it, torch::data and the like, is used nowhere and costs every file seconds.
target_precompile_headers(mtlora_core PRIVATE <torch/types.h> <torch/autograd.h> <torch/utils.h> <torch/nn/module.h>
                          <torch/nn/pimpl.h> <nlohmann/json.hpp> <fmt/format.h> <fmt/ranges.h>)
target_compile_options(mtlora_core PRIVATE -UFMT_HEADER_ONLY)  # lib/backend/fmt.cpp
set_source_files_properties(lib/backend/process_group.cpp PROPERTIES INCLUDE_DIRECTORIES
  ${CMAKE_CURRENT_SOURCE_DIR}/lib/backend/gloo_names)
target_compile_definitions(mtlora_core PRIVATE MTLORA_VERSION="${PROJECT_VERSION}")
target_link_libraries(mtlora_core PUBLIC mtlora_base mtlora_torch PRIVATE PkgConfig::ZIP)
if(TARGET mtlora_kernels)
  target_link_libraries(mtlora_core PUBLIC mtlora_kernels)
endif()
mtlora_warnings(mtlora_core)

file(GLOB program_sources CONFIGURE_DEPENDS cmd/mtlora/*.cpp)
if(program_sources)
  add_executable(mtlora ${program_sources})
  target_link_libraries(mtlora PRIVATE ${MTLORA_LINKED_FIRST} mtlora_core CLI11::CLI11)
  target_compile_definitions(mtlora PRIVATE MTLORA_VERSION="${PROJECT_VERSION}")
  target_compile_options(mtlora PRIVATE -UFMT_HEADER_ONLY)
  # Many short-lived tensors: an allocator that keeps them at hand is worth several per cent of a step.
  find_library(TCMALLOC NAMES tcmalloc_minimal libtcmalloc_minimal.so.4)
  if(TCMALLOC AND NOT MTLORA_SANITIZE)
    target_link_libraries(mtlora PRIVATE -Wl,--push-state,--no-as-needed ${TCMALLOC} -Wl,--pop-state)
  endif()
  mtlora_warnings(mtlora)
  # The installed program finds LibTorch where it was found when it was built.
  set_target_properties(mtlora PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR} INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS mtlora RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(DIRECTORY configs DESTINATION ${CMAKE_INSTALL_DATADIR}/mtlora)
endif()
