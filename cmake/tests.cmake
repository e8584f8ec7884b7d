# One test program without LibTorch, one with; one ctest entry a folder, selected by its tag.
find_package(Catch2 2 REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(runner_flags -w NoAssertions) # Catch2 2 takes one -w; that no test has the tag is seen in what it prints
set(test_environment "MTLORA_SOURCE=${CMAKE_CURRENT_SOURCE_DIR}")

function(mtlora_test_program name)
  cmake_parse_arguments(arg "" "" "FOLDERS;LIBRARIES" ${ARGN})
  set(sources tests/support/main.cpp)
  set(tags)
  foreach(folder ${arg_FOLDERS})
    file(GLOB found CONFIGURE_DEPENDS tests/${folder}/*_test.cpp)
    if(found)
      list(APPEND sources ${found})
      list(APPEND tags ${folder})
    endif()
  endforeach()
  if(NOT tags)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${MTLORA_LINKED_FIRST} ${arg_LIBRARIES} Catch2::Catch2)
  mtlora_warnings(${name})
  foreach(tag ${tags})
    add_test(NAME ${tag} COMMAND ${name} "[${tag}]" ${runner_flags})
    set_tests_properties(${tag} PROPERTIES ENVIRONMENT "${test_environment}" TIMEOUT 900
                         FAIL_REGULAR_EXPRESSION "No test cases matched")
  endforeach()
endfunction()

mtlora_test_program(mtlora_base_tests FOLDERS core text data metrics decoding LIBRARIES mtlora_base ZLIB::ZLIB)
if(NOT MTLORA_BASE_ONLY)
  mtlora_test_program(mtlora_tests FOLDERS weights backend nn models adapters optim generate train run laws LIBRARIES mtlora_core)
  if(TARGET mtlora_tests)
    # the same definitions, or the header could not be used again
    target_compile_definitions(mtlora_tests PRIVATE MTLORA_VERSION="${PROJECT_VERSION}")
    target_compile_options(mtlora_tests PRIVATE -UFMT_HEADER_ONLY)
    target_precompile_headers(mtlora_tests REUSE_FROM mtlora_core)
    # the README's example of a method, as it stands there (tests/adapters/readme_example_test.cpp)
    set(readme_example ${CMAKE_CURRENT_BINARY_DIR}/readme/scaled.cpp)
    add_custom_command(OUTPUT ${readme_example}
      COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/tests/support/readme_example.py
              ${CMAKE_CURRENT_SOURCE_DIR}/README.md ${readme_example}
      DEPENDS README.md tests/support/readme_example.py VERBATIM)
    target_sources(mtlora_tests PRIVATE ${readme_example})
  endif()
  if(TARGET mtlora_tests AND NOT MTLORA_HAS_CUDA AND NOT MTLORA_SANITIZE) # sanitizers do not follow fibers
    include(cmake/emulated_tests.cmake)
  endif()
endif()

# The table of who may include whom, and that the check of it finds what it is made to find.
add_test(NAME layers COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/scripts/check_layers)
add_test(NAME layers_finds_faults
         COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/scripts/check_layers ${CMAKE_CURRENT_SOURCE_DIR}/tests/cases/layers)
set_tests_properties(layers_finds_faults PROPERTIES PASS_REGULAR_EXPRESSION "layers: 12 includes in 5 files, 6 faults")

# The README's configuration reference is what the program says.
if(TARGET mtlora)
  add_test(NAME readme_reference COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/scripts/readme_reference --check $<TARGET_FILE:mtlora>)
endif()

# The program as a user meets it: Python's standard library runs it on a tiny model.
if(NOT MTLORA_BASE_ONLY)
  file(GLOB topics CONFIGURE_DEPENDS RELATIVE ${CMAKE_CURRENT_SOURCE_DIR}/tests/end_to_end tests/end_to_end/*_test.py)
  foreach(file ${topics})
    string(REPLACE "_test.py" "" topic ${file})
    add_test(NAME end_to_end_${topic}
             COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/tests/end_to_end/${file} $<TARGET_FILE:mtlora>)
    set_tests_properties(end_to_end_${topic} PROPERTIES TIMEOUT 600
                         ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
  endforeach()
endif()
