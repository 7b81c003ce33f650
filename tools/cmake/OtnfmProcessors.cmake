# Hot loops, compiled for one processor each whatever OTNFM_MARCH is, and chosen when the program runs: kernels/host/processor.h.

# otnfm_processors(FOLDER): how FOLDER/avx2.cpp, avx512.cpp and avx512_bf16.cpp of this directory are compiled. On other than x86-64
# these files are empty, and portable.cpp, which has no flags of its own, is all there is.
function(otnfm_processors folder)
  set_source_files_properties(${folder}/portable.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)  # its vectors are narrower than others'
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(avx512 -march=x86-64-v4 -mprefer-vector-width=512 -Wno-maybe-uninitialized)  # g++ bug 105593
    set_source_files_properties(${folder}/avx2.cpp PROPERTIES COMPILE_OPTIONS -march=x86-64-v3)
    set_source_files_properties(${folder}/avx512.cpp PROPERTIES COMPILE_OPTIONS "${avx512}")
    set_source_files_properties(${folder}/avx512_bf16.cpp PROPERTIES COMPILE_OPTIONS "${avx512};-mavx512bf16")
    set_source_files_properties(${folder}/avx2.cpp ${folder}/avx512.cpp ${folder}/avx512_bf16.cpp
                                PROPERTIES SKIP_PRECOMPILE_HEADERS ON)  # those are another processor's
  endif()
endfunction()
