// Four lanes of 64 bits, each taking every fourth word of the input as xxHash64 does:
//   lane ← rotate(lane + word · P2, 31) · P1
// and two outputs from different mixtures of the lanes, finished by splitmix64. What comes later
// starts from the outputs of what came before, so the order of words counts.
// Sources: Y. Collet, xxHash specification, XXH64 (the round and its primes); Steele, Lea, Flood
// 2014, "Fast splittable pseudorandom number generators" (the finish).
#include "lib/weights/fingerprint.h"

#include <array>
#include <bit>
#include <cstring>

#include "lib/core/error.h"

namespace mtlora {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F,
                   kPrime3 = 0x165667B19E3779F9;

uint64_t finish(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

using Lanes = std::array<uint64_t, 4>;

void mix(Lanes& lanes, const char* at) {
  Lanes words;
  std::memcpy(words.data(), at, sizeof words);
  for (size_t i = 0; i < 4; ++i) lanes[i] = std::rotl(lanes[i] + words[i] * kPrime2, 31) * kPrime1;
}

}  // namespace

void Fingerprint::add(const void* data, size_t bytes) {
  Lanes lanes{high_ + kPrime1, high_ ^ kPrime2, low_ + kPrime3, low_ ^ kPrime1};
  const char* at = static_cast<const char*>(data);
  size_t left = bytes;
  for (; left >= sizeof lanes; left -= sizeof lanes, at += sizeof lanes) mix(lanes, at);
  if (left > 0) {
    std::array<char, sizeof lanes> padded{};  // the length, below, tells zeros from nothing
    std::memcpy(padded.data(), at, left);
    mix(lanes, padded.data());
  }
  high_ = finish(finish(finish(lanes[0] + bytes) + lanes[1]) ^ finish(lanes[2] + kPrime1) ^
                 std::rotl(lanes[3], 17));
  low_ = finish(finish(finish(lanes[3] ^ bytes) + lanes[2]) ^ finish(lanes[1] + kPrime2) ^
                std::rotl(lanes[0], 41));
}

void Fingerprint::add(const std::string& name, const at::Tensor& tensor) {
  TORCH_INTERNAL_ASSERT(last_.empty() || last_ < name, "names in ascending order");
  last_ = name;
  add(name);
  add(c10::toString(tensor.scalar_type()));
  add(tensor.sizes().data(), tensor.sizes().size() * sizeof(int64_t));
  const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
  add(plain.data_ptr(), plain.nbytes());
}

std::string Fingerprint::text() const {
  return fmt::format("{:016x}{:016x}", high_, low_);
}

}  // namespace mtlora
