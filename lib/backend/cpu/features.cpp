#include "lib/backend/cpu/features.h"

#include <atomic>
#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#  include <cpuid.h>
#  include <sys/syscall.h>
#  include <unistd.h>
#endif

#include "lib/core/error.h"

namespace mtlora::backend {
namespace {

#if defined(__x86_64__)
bool supports_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
bool supports_avx512_bf16() {
  return supports_avx512() && __builtin_cpu_supports("avx512bf16");
}
/// The tiles' registers are large: Linux wants to be asked before a process uses them (kernel
/// documentation, "Using XSTATE features in user space applications").
bool tiles_permitted() {
  constexpr long kAskForPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return ::syscall(SYS_arch_prctl, kAskForPermission, kTileData) == 0;
}
bool owns_amx_bf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool bf16 = (d >> 22 & 1U) != 0, tiles = (d >> 24 & 1U) != 0;
  return bf16 && tiles;
}
bool supports_amx_bf16() {
  return supports_avx512_bf16() && owns_amx_bf16() && tiles_permitted();
}
#else
bool supports_avx512() {
  return false;
}
bool supports_avx512_bf16() {
  return false;
}
bool owns_amx_bf16() {
  return false;
}
bool supports_amx_bf16() {
  return false;
}
#endif

Path checked(Path wanted) {
  if (wanted == Path::avx512 && !has_avx512())
    fail("the avx512 kernels were asked for, but this CPU has no AVX-512; use \"plain\"");
  return wanted;
}

Path initial() {
  const char* named = std::getenv("MTLORA_BACKEND");
  if (!named) return has_avx512() ? Path::avx512 : Path::plain;
  if (std::string(named) == "plain") return Path::plain;
  if (std::string(named) == "avx512") return checked(Path::avx512);
  fail("MTLORA_BACKEND={}: wanted \"plain\" or \"avx512\"", named);
}

std::atomic<Path>& current() {
  static std::atomic<Path> value{initial()};
  return value;
}

}  // namespace

bool has_avx512() {
  static const bool value = supports_avx512();
  return value;
}

bool has_avx512_bf16() {
  static const bool value = supports_avx512_bf16();
  return value;
}

bool has_amx_bf16() {
  static const bool value = supports_amx_bf16();
  return value;
}

bool prefers_bf16() {
  static const bool value = has_amx_bf16() || (has_avx512_bf16() && !owns_amx_bf16());
  return value;
}

Path path() {
  return current().load(std::memory_order_relaxed);
}

void use_path(Path chosen) {
  current() = checked(chosen);
}

}  // namespace mtlora::backend
