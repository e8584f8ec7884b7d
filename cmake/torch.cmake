# LibTorch, as the Python package or the plain archive lays it out. Its own CMake package is not used: that of a CUDA
# build wants a whole CUDA toolkit, and all we call lies in two libraries.
find_path(TORCH_INCLUDE_DIR ATen/ATen.h
          HINTS ${MTLORA_TORCH} ENV MTLORA_TORCH ${CMAKE_PREFIX_PATH} PATH_SUFFIXES include ../../include
          NO_DEFAULT_PATH)
if(NOT TORCH_INCLUDE_DIR)
  message(FATAL_ERROR "LibTorch was not found: name its folder with -DMTLORA_TORCH=… (of the Python package it is "
                      "the folder of the module torch), or run scripts/setup")
endif()
cmake_path(GET TORCH_INCLUDE_DIR PARENT_PATH torch_root)
add_library(mtlora_torch INTERFACE)
target_include_directories(mtlora_torch SYSTEM INTERFACE
  ${TORCH_INCLUDE_DIR} ${TORCH_INCLUDE_DIR}/torch/csrc/api/include)
foreach(name torch_cpu c10)
  find_library(TORCH_${name} ${name} HINTS ${torch_root}/lib NO_DEFAULT_PATH REQUIRED)
  target_link_libraries(mtlora_torch INTERFACE ${TORCH_${name}})
endforeach()

# CUDA: LibTorch's part for it, the toolkit's headers and run-time library, and nvcc for the kernels. No GPU is needed.
if(MTLORA_CUDA)
  include(cmake/cuda.cmake)
endif()
