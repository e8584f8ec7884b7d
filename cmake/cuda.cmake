# What a CUDA build adds: sets MTLORA_HAS_CUDA, and the libraries where it is on. The run-time library and NCCL come with
# LibTorch's wheel (site-packages/nvidia) or with the toolkit; the headers with either.
set(MTLORA_HAS_CUDA OFF)
find_library(TORCH_torch_cuda torch_cuda HINTS ${torch_root}/lib NO_DEFAULT_PATH)
if(NOT NVCC AND DEFINED ENV{CUDACXX})
  set(NVCC "$ENV{CUDACXX}" CACHE FILEPATH "the CUDA compiler")
endif()
find_program(NVCC nvcc HINTS ENV CUDA_HOME /usr/local/cuda PATH_SUFFIXES bin)
foreach(what TORCH_torch_cuda NVCC)
  if(NOT ${what})
    if(MTLORA_CUDA STREQUAL "ON")
      message(FATAL_ERROR "MTLORA_CUDA=ON needs a CUDA build of LibTorch in ${torch_root} and nvcc (CUDACXX, CUDA_HOME or "
                          "PATH): scripts/setup --cuda brings both. Missing: ${what}")
    endif()
    message(STATUS "CUDA: no (${what} was not found)")
    return()
  endif()
endforeach()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # A100; H100; and PTX of the latter for what comes after
endif()
set(CMAKE_CUDA_COMPILER ${NVCC})
set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # LibTorch's own is linked below: one run-time in the process
enable_language(CUDA)
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE})
endif()
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)

cmake_path(GET torch_root PARENT_PATH site_packages)
cmake_path(GET NVCC PARENT_PATH nvcc_bin)
cmake_path(GET nvcc_bin PARENT_PATH nvcc_root)
# nvcc's headers, for the few sources that name LibTorch's of CUDA, and those of the libraries that these name in turn.
find_path(NVCC_INCLUDE_DIR crt/host_defines.h REQUIRED
          HINTS ${nvcc_root}/include ENV CUDA_HOME /usr/local/cuda/include PATH_SUFFIXES include)
find_path(CUDA_LIBRARIES_INCLUDE_DIR cublas_v2.h REQUIRED
          HINTS ${site_packages}/nvidia/cu13/include ${nvcc_root}/include ENV CUDA_HOME PATH_SUFFIXES include)
find_library(CUDART NAMES cudart libcudart.so.13 REQUIRED
             HINTS ${site_packages}/nvidia/cu13/lib ${torch_root}/lib ${nvcc_root}/lib64 ENV CUDA_HOME
             PATH_SUFFIXES lib64 lib)
find_library(TORCH_c10_cuda c10_cuda HINTS ${torch_root}/lib NO_DEFAULT_PATH REQUIRED)
target_include_directories(mtlora_torch SYSTEM INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${CUDA_LIBRARIES_INCLUDE_DIR}>)
# The linker would drop torch_cuda: its operations register themselves, and nothing names them.
target_link_libraries(mtlora_torch INTERFACE
  "-Wl,--push-state,--no-as-needed,${TORCH_torch_cuda},${TORCH_c10_cuda},--pop-state" ${CUDART})
# Gradients of several processes; without it they are summed on the CPU.
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${site_packages}/nvidia/nccl/include ENV NCCL_HOME PATH_SUFFIXES include)
find_library(NCCL NAMES libnccl.so.2 nccl HINTS ${site_packages}/nvidia/nccl/lib ENV NCCL_HOME PATH_SUFFIXES lib)
set(MTLORA_HAS_NCCL OFF)
if(NCCL_INCLUDE_DIR AND NCCL)
  set(MTLORA_HAS_NCCL ON)
  target_link_libraries(mtlora_torch INTERFACE ${NCCL})
endif()
message(STATUS "NCCL: ${NCCL}")
set(MTLORA_HAS_CUDA ON)
message(STATUS "CUDA: yes (${NVCC}, for ${CMAKE_CUDA_ARCHITECTURES})")
