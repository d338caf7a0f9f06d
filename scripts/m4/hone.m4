# What configure looks for, in four macros: compiler flags, required libraries, optional parts, the summary.

# HONE_FLAGS_TO(VARIABLE, FLAG...): adds each word of the second argument that the compiler and linker take.
AC_DEFUN([HONE_FLAGS_TO], [
  for hone_flag in $2; do
    AC_MSG_CHECKING([whether $CC takes $hone_flag])
    hone_save="$CFLAGS"; CFLAGS="$CFLAGS -Werror `echo $hone_flag | tr @ ' '`"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdio.h>]], [[puts("x");]])],
      [AC_MSG_RESULT([yes]); $1="$$1 `echo $hone_flag | tr @ ' '`"], [AC_MSG_RESULT([no])])
    CFLAGS="$hone_save"
  done])

# Hardening and warnings. --enable-werror for CI; --with-sanitizer=address|thread builds everything with it.
AC_DEFUN([HONE_FLAGS], [
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make warnings errors])])
  AC_ARG_WITH([sanitizer], [AS_HELP_STRING([--with-sanitizer=KIND], [address (with undefined) or thread])], [], [with_sanitizer=no])
  AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [build for gcov])])
  HARDEN_CFLAGS= HARDEN_LDFLAGS= WARN_CFLAGS= SAN_CFLAGS=
  HONE_FLAGS_TO([WARN_CFLAGS], [[-Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Wwrite-strings -Wno-missing-field-initializers -Wno-format-nonliteral]])
  AS_IF([test "x$enable_werror" = xyes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AS_CASE([$with_sanitizer],
    [no], [
      HONE_FLAGS_TO([HARDEN_LDFLAGS], [[-fPIE@-pie]])
      AS_IF([test -n "$HARDEN_LDFLAGS"], [HARDEN_CFLAGS="-fPIE"; HARDEN_LDFLAGS="-pie"])
      HONE_FLAGS_TO([HARDEN_CFLAGS], [[-fstack-protector-strong -ftrivial-auto-var-init=zero -fstack-clash-protection -fcf-protection]])
      HONE_FLAGS_TO([hone_fortify], [[-U_FORTIFY_SOURCE@-D_FORTIFY_SOURCE=3@-O2]])
      AS_IF([test -n "$hone_fortify"], [HARDEN_CPPFLAGS="-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"])
      HONE_FLAGS_TO([HARDEN_LDFLAGS], [[-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack]])],
    [address], [SAN_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"],
    [thread], [SAN_CFLAGS="-fsanitize=thread -fno-omit-frame-pointer"],
    [AC_MSG_ERROR([--with-sanitizer takes address or thread, not $with_sanitizer])])
  AS_IF([test "x$enable_coverage" = xyes], [SAN_CFLAGS="$SAN_CFLAGS --coverage"])
  AM_CONDITIONAL([SANITIZER], [test "x$with_sanitizer" != xno])
  AC_SUBST([HARDEN_CFLAGS]) AC_SUBST([HARDEN_CPPFLAGS]) AC_SUBST([HARDEN_LDFLAGS]) AC_SUBST([WARN_CFLAGS]) AC_SUBST([SAN_CFLAGS])
  # What -O3 adds to the -O2 of CFLAGS, which comes later. Jumps threaded through loops with exp would keep those from vectorising.
  O3_FLAGS=-O3
  HONE_FLAGS_TO([O3_FLAGS], [[-ftree-loop-vectorize -ftree-slp-vectorize -fvect-cost-model=dynamic -funswitch-loops -fpeel-loops -fsplit-loops -ftree-partial-pre -fgcse-after-reload]])
  HONE_FLAGS_TO([O3_FLAGS], [[-fipa-cp-clone -ftree-loop-distribution -fversion-loops-for-strides -fpredictive-commoning -finline-functions]])
  OPS_EXTRA=
  HONE_FLAGS_TO([OPS_EXTRA], [-fno-thread-jumps])
  HONE_FLAGS_TO([hone_pass_failed], [-Wpass-failed]) # clang says which simd loops it leaves alone: no mistake of the code
  AS_IF([test -n "$hone_pass_failed"], [OPS_EXTRA="$OPS_EXTRA -Wno-pass-failed"])
  AC_SUBST([O3_FLAGS]) AC_SUBST([OPS_EXTRA])
  # Instruction sets the kernels are compiled for; which one runs is chosen at start.
  ISA_AVX2= ISA_AVX512= ISA_AVX512BF16=
  AS_CASE([$host_cpu], [x86_64], [
    HONE_FLAGS_TO([ISA_AVX2], [[-mavx2@-mfma@-mf16c]])
    HONE_FLAGS_TO([ISA_AVX512], [[-march=skylake-avx512@-mprefer-vector-width=512]])
    HONE_FLAGS_TO([ISA_AVX512BF16], [[-march=skylake-avx512@-mavx512vnni@-mavx512bf16@-mprefer-vector-width=512]])])
  AM_CONDITIONAL([HAVE_AVX2], [test -n "$ISA_AVX2"])
  AM_CONDITIONAL([HAVE_AVX512], [test -n "$ISA_AVX512"])
  AM_CONDITIONAL([HAVE_AVX512BF16], [test -n "$ISA_AVX512BF16"])
  AS_IF([test -n "$ISA_AVX2"], [AC_DEFINE([HONE_AVX2], [1], [AVX2 kernels are built])])
  AS_IF([test -n "$ISA_AVX512"], [AC_DEFINE([HONE_AVX512], [1], [AVX-512 kernels are built])])
  AS_IF([test -n "$ISA_AVX512BF16"], [AC_DEFINE([HONE_AVX512BF16], [1], [AVX-512 kernels with VNNI and BF16 are built])])
  AC_SUBST([ISA_AVX2]) AC_SUBST([ISA_AVX512]) AC_SUBST([ISA_AVX512BF16])])

AC_DEFUN([HONE_LIBRARIES], [
  PKG_CHECK_MODULES([NCURSES], [ncursesw >= 6], [], [AC_MSG_ERROR([ncursesw is missing: install libncurses-dev])])
  PKG_CHECK_MODULES([LUA], [lua5.4 >= 5.4], [], [AC_MSG_ERROR([Lua 5.4 is missing: install liblua5.4-dev])])
  PKG_CHECK_MODULES([READLINE], [readline >= 8], [], [AC_MSG_ERROR([readline is missing: install libreadline-dev])])
  PKG_CHECK_MODULES([ZLIB], [zlib], [], [AC_MSG_ERROR([zlib is missing: install zlib1g-dev])])
  PKG_CHECK_MODULES([JANSSON], [jansson >= 2.13], [], [AC_MSG_ERROR([jansson is missing: install libjansson-dev])])
  PKG_CHECK_MODULES([UTF8PROC], [libutf8proc], [], [AC_MSG_ERROR([utf8proc is missing: install libutf8proc-dev])])
  AC_SEARCH_LIBS([dlopen], [dl])
  AC_SEARCH_LIBS([pthread_create], [pthread])
  AC_SEARCH_LIBS([expf], [m])])

AC_DEFUN([HONE_OPTIONAL], [
  PKG_CHECK_MODULES([LZMA], [liblzma], [AC_DEFINE([HAVE_LZMA], [1], [xz files can be read]) have_lzma=yes], [have_lzma="no (liblzma-dev)"])
  PKG_CHECK_MODULES([PNG], [libpng >= 1.6], [AC_DEFINE([HAVE_PNG], [1], [PNG pictures can be read]) have_png=yes], [have_png="no (libpng-dev)"])
  PKG_CHECK_MODULES([JPEG], [libjpeg], [AC_DEFINE([HAVE_JPEG], [1], [JPEG pictures can be read]) have_jpeg=yes], [have_jpeg="no (libjpeg-dev)"])
  PKG_CHECK_MODULES([SNDFILE], [sndfile >= 1.0.31], [AC_DEFINE([HAVE_SNDFILE], [1], [sounds can be read]) have_sndfile=yes], [have_sndfile="no (libsndfile1-dev)"])
  PKG_CHECK_MODULES([SAMPLERATE], [samplerate >= 0.1.9], [AC_DEFINE([HAVE_SAMPLERATE], [1], [sounds can be resampled]) have_samplerate=yes], [have_samplerate="no (libsamplerate0-dev)"])
  # The BLAS is opened at run time, never linked: here we only say what would be found.
  AC_MSG_CHECKING([for a BLAS to open at run time])
  have_blas="no (libopenblas0-pthread): the plain kernel is used"
  for d in /usr/lib/$host_cpu-linux-gnu /usr/lib64 /usr/lib /usr/local/lib; do
    for f in openblas-pthread/libopenblas.so.0 openblas-serial/libopenblas.so.0 libopenblas.so.0 libblis.so.4; do
      AS_IF([test -e "$d/$f"], [have_blas="$d/$f"; break 2])
    done
  done
  AC_MSG_RESULT([$have_blas])
  AC_CHECK_PROGS([FUZZ_CC], [clang clang-14], [no])
  AM_CONDITIONAL([HAVE_FUZZ_CC], [test "x$FUZZ_CC" != xno])
  HONE_CUDA])

# The plugin for GPUs needs nvcc and cuBLASLt; its kernels are tested without either, by a C++ compiler against tests/cuda/fake.
AC_DEFUN([HONE_CUDA], [
  AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda@<:@=DIR@:>@], [build the plugin for NVIDIA GPUs, with the toolkit in DIR])], [], [with_cuda=no])
  AC_ARG_VAR([NVCC], [compiler for CUDA])
  AC_ARG_VAR([CUDA_ARCH], [what the plugin is built for, as options of nvcc])
  have_cuda="no (configure --with-cuda)"
  AS_IF([test "x$with_cuda" != xno], [
    AS_CASE([$with_cuda], [/*], [hone_cuda_path="$with_cuda/bin"], [hone_cuda_path="$PATH:/usr/local/cuda/bin"])
    AC_PATH_PROG([NVCC], [nvcc], [no], [$hone_cuda_path])
    hone_cuda_home=`dirname "$NVCC"`/..
    AS_IF([test "x$NVCC" = xno], [have_cuda="no (nvcc is not found)"],
      [test -e "$hone_cuda_home/include/cublasLt.h" || test -e /usr/include/cublasLt.h],
        [AS_IF([test -e "$hone_cuda_home/include/cudnn.h" || test -e /usr/include/cudnn.h], [have_cuda="$NVCC"], [have_cuda="no (cudnn.h is not found)"])],
      [have_cuda="no (cublasLt.h is not found)"])
    AS_CASE([$with_cuda], [yes|/*], [AS_CASE([$have_cuda], [no*], [AC_MSG_ERROR([--with-cuda was asked for, but $have_cuda])])])])
  test -n "$CUDA_ARCH" || CUDA_ARCH="-gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_90,code=compute_90"
  AC_SUBST([CUDA_LIBDIR], ["$hone_cuda_home/lib64"])
  AM_CONDITIONAL([HAVE_CUDA], [test "x$have_cuda" = "x$NVCC" && test -n "$NVCC"])
  AC_CACHE_CHECK([whether $CXX compiles C++20], [hone_cv_cxx20], [
    AC_LANG_PUSH([C++])
    hone_save="$CXXFLAGS"; CXXFLAGS="$CXXFLAGS -std=c++20"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <functional>]], [[std::function<void()> f = [=] {}; f();]])], [hone_cv_cxx20=yes], [hone_cv_cxx20=no])
    CXXFLAGS="$hone_save"
    AC_LANG_POP([C++])])
  AM_CONDITIONAL([HAVE_FAKE_CUDA], [test "x$hone_cv_cxx20" = xyes && test "x$with_sanitizer" = xno])])

AC_DEFUN([HONE_SUMMARY], [
  cat <<EOF

hone $PACKAGE_VERSION
  compiler        $CC, $CFLAGS
  kernels         baseline$(test -n "$ISA_AVX2" && echo ", AVX2")$(test -n "$ISA_AVX512" && echo ", AVX-512")$(test -n "$ISA_AVX512BF16" && echo ", AVX-512 with VNNI and BF16") (chosen at start)
  BLAS            $have_blas
  xz files        $have_lzma
  pictures        PPM, PNG: $have_png, JPEG: $have_jpeg
  sounds          WAV, FLAC, Ogg, MP3: $have_sndfile, other rates: $have_samplerate
  CUDA plugin     $have_cuda
  fuzzing         $FUZZ_CC
  sanitizer       $with_sanitizer
  prefix          $prefix

Next: make, make check.
EOF
])
