// The emulator itself: what it says of a kernel is worth what it sees.
#include "tests/emulator/block.h"

#include <vector>

#include "tests/emulator/cuda_bf16.h"
#include "tests/emulator/tensor_core.h"
#include "tests/support/test.h"

using namespace mtlora;

namespace {

/// What a kernel leaves in one float a thread, in either order of threads.
std::vector<float> results(int threads, bool backwards, const std::function<float()>& kernel) {
  std::vector<float> found(static_cast<size_t>(threads), -1);
  emulator::set_backwards(backwards);
  emulator::run_grid(1, threads, 4 * static_cast<size_t>(threads),
                     [&] { found[threadIdx.x] = kernel(); });
  emulator::set_backwards(false);
  return found;
}

float* shared() {
  return static_cast<float*>(emulator::shared_memory());
}

/// The neighbour's number, by shared memory.
float of_neighbour(bool waits) {
  shared()[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (waits) __syncthreads();
  return shared()[(threadIdx.x + 1) % blockDim.x];
}

}  // namespace

TEST_CASE("threads of a block meet", "[emulator]") {
  for (const bool backwards : {false, true}) {
    const auto found = results(96, backwards, [] { return of_neighbour(true); });
    for (size_t i = 0; i < 96; ++i) CHECK(found[i] == static_cast<float>((i + 1) % 96));
  }
}

TEST_CASE("a missing wait is seen: shared memory begins as NaN, and the order matters",
          "[emulator]") {
  const auto one = results(64, false, [] { return of_neighbour(false); }),
             other = results(64, true, [] { return of_neighbour(false); });
  CHECK(std::isnan(one[0]));
  CHECK(one[63] == 0);
  CHECK(other[0] == 1);
  CHECK(std::isnan(other[63]));
}

TEST_CASE("lanes exchange values", "[emulator]") {
  const auto number = [] { return static_cast<float>(threadIdx.x); };
  const auto sums = results(64, false, [&] {
    float x = number();
    for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
    return x;
  });
  CHECK(sums[5] == 31 * 16);
  CHECK(sums[40] == 31 * 16 + 32 * 32);
  const auto down = results(32, true, [&] { return __shfl_down_sync(~0u, number(), 4); });
  CHECK(down[0] == 4);
  CHECK(down[30] == 30);
  const auto up = results(32, false, [&] { return __shfl_up_sync(~0u, number(), 1); });
  CHECK(up[0] == 0);
  CHECK(up[9] == 8);
}

TEST_CASE("lanes ask whether any of them says yes", "[emulator]") {
  const auto found =
      results(64, false, [] { return __any_sync(~0u, threadIdx.x == 40) ? 1.0f : 0.0f; });
  CHECK(found[3] == 0);
  CHECK(found[33] == 1);
}

TEST_CASE("a copy that is not waited for is not made", "[emulator]") {
  alignas(16) static const float from[4] = {1, 2, 3, 4};
  for (const bool waits : {false, true}) {
    const auto found = results(32, false, [&] {
      if (threadIdx.x == 0) emulator::begin_copy(shared(), from);
      if (waits) emulator::wait_for_copies();
      __syncthreads();
      return shared()[threadIdx.x % 4];
    });
    for (size_t i = 0; i < 32; ++i) CHECK((waits ? found[i] == from[i % 4] : std::isnan(found[i])));
  }
}

TEST_CASE("a warp multiplies matrices as they lie in shared memory", "[emulator]") {
  // a [16, 16], row-major; b [16, 8] as the rows of its transpose
  const auto value = [](int i) { return static_cast<float>(i * 7 % 13 - 6); };
  std::vector<float> product(16 * 8);
  emulator::run_grid(1, 32, 4096, [&] {
    auto* a = static_cast<__nv_bfloat16*>(emulator::shared_memory());
    __nv_bfloat16* b = a + 256;
    for (int i = emulator::lane(); i < 256; i += 32) a[i] = __float2bfloat16_rn(value(i));
    for (int i = emulator::lane(); i < 256; i += 32) b[i] = __float2bfloat16_rn(value(i + 5));
    __syncwarp();
    const int lane = emulator::lane();
    uint32_t left[4], right[4];
    emulator::load_matrices<false>(left, a + lane % 16 * 16 + lane / 16 * 8);
    emulator::load_matrices<false>(right, b + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
    float c[4] = {1, 1, 1, 1};
    emulator::multiply_add(c, left, {right[0], right[1]});
    for (int e = 0; e < 4; ++e)
      product[static_cast<size_t>((lane / 4 + e / 2 * 8) * 8 + lane % 4 * 2 + e % 2)] = c[e];
  });
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      float want = 1;
      for (int k = 0; k < 16; ++k) want += value(16 * row + k) * value(16 * column + k + 5);
      CHECK(product[static_cast<size_t>(8 * row + column)] == want);
    }
}
