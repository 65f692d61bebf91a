# find_package(localgrad) gives the targets localgrad::shared and localgrad::static, as far as the libraries are there.
# It serves both an installed library (lib/cmake/localgrad) and the source tree (ffi/cmake, after cargo build --release).
get_filename_component(_localgrad_above "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)
if(EXISTS "${_localgrad_above}/include/localgrad.h")
  set(_localgrad_include "${_localgrad_above}/include")
  get_filename_component(_localgrad_lib "${_localgrad_above}/../target/release" ABSOLUTE)
else()
  get_filename_component(_localgrad_lib "${_localgrad_above}/.." ABSOLUTE)
  get_filename_component(_localgrad_include "${_localgrad_lib}/../include" ABSOLUTE)
endif()

find_package(Threads REQUIRED)
foreach(_localgrad_kind shared static)
  string(TOUPPER "${_localgrad_kind}" _localgrad_type)
  set(_localgrad_file "${_localgrad_lib}/${CMAKE_${_localgrad_type}_LIBRARY_PREFIX}localgrad${CMAKE_${_localgrad_type}_LIBRARY_SUFFIX}")
  if(EXISTS "${_localgrad_file}" AND NOT TARGET localgrad::${_localgrad_kind})
    add_library(localgrad::${_localgrad_kind} ${_localgrad_type} IMPORTED)
    set_target_properties(localgrad::${_localgrad_kind} PROPERTIES
      IMPORTED_LOCATION "${_localgrad_file}"
      IMPORTED_NO_SONAME TRUE
      INTERFACE_INCLUDE_DIRECTORIES "${_localgrad_include}")
  endif()
endforeach()
if(TARGET localgrad::static AND UNIX)
  set(_localgrad_system Threads::Threads ${CMAKE_DL_LIBS} m)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    list(APPEND _localgrad_system rt util gcc_s)
  endif()
  set_target_properties(localgrad::static PROPERTIES INTERFACE_LINK_LIBRARIES "${_localgrad_system}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(localgrad REQUIRED_VARS _localgrad_include)
if(NOT TARGET localgrad::shared AND NOT TARGET localgrad::static)
  set(localgrad_FOUND FALSE)
  set(localgrad_NOT_FOUND_MESSAGE "no library in ${_localgrad_lib}: cargo build --release --package localgrad-ffi")
endif()
