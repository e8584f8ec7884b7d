# The warnings of every target of ours; -Werror and sanitizers where asked for.
function(mtlora_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
                         -Wno-restrict -Wno-stringop-overflow)  # g++ 12 sees overlaps in std::string that are not there (GCC bug 105651)
  if(MTLORA_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(MTLORA_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${MTLORA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
    target_link_options(${target} PUBLIC -fsanitize=${MTLORA_SANITIZE})
  endif()
endfunction()
