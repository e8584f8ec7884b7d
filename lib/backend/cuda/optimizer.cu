// What a step does between its passes: all gradients in one array, their norm, whether anything is
// to move at all, and AdamW over many tensors at once.
#include <algorithm>

#include "lib/backend/clip.h"
#include "lib/backend/cuda/device.cuh"

namespace mtlora::backend::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kEach = 4;                  // elements of a thread
constexpr int64_t kChunk = kThreads * kEach;  // and of a block
constexpr int kMostSquareBlocks = 512;

__global__ void squares_kernel(const float* x, int64_t count, float* partials) {
  __shared__ float room[33];
  float total = 0;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride)
    total += x[i] * x[i];
  total = block_sum(total, room);
  if (threadIdx.x == 0) partials[blockIdx.x] = total;
}

// One warp. In double as on the CPU, so that a factor is rounded once.
__global__ void verdict_kernel(VerdictCall c) {
  double total = 0;
  for (int i = static_cast<int>(threadIdx.x); i < c.count; i += 32) total += c.partials[i];
  for (int step = 16; step > 0; step /= 2) total += __shfl_xor_sync(0xffffffffu, total, step);
  if (threadIdx.x != 0) return;
  const double norm = static_cast<float>(sqrt(total)), loss = *c.loss, both = norm + loss;
  c.numbers[0] = loss;
  c.numbers[1] = norm;
  *c.skipped = both - both == 0 ? 0.0f : 1.0f;  // inf - inf is no number
  *c.factor = static_cast<float>(clip_factor(norm, c.most));
}

// Before the update, whose blocks all read the counts.
__global__ void count_kernel(const __grid_constant__ AdamWTensors tensors, const float* skipped) {
  if (skipped && *skipped != 0) return;
  if (static_cast<int>(threadIdx.x) < tensors.count) *tensors.one[threadIdx.x].steps += 1;
}

// The last tensor that begins at this block or before it.
template <class Tensors>
__device__ const auto& tensor_of(const Tensors& tensors, unsigned block) {
  int from = 0, to = tensors.count;
  while (to - from > 1) {
    const int middle = (from + to) / 2;
    if (tensors.one[middle].first_block <= block)
      from = middle;
    else
      to = middle;
  }
  return tensors.one[from];
}

// Shares out blocks of kChunk elements among the tensors; how many there are.
template <class Tensors>
unsigned number_blocks(Tensors& tensors) {
  unsigned blocks = 0;
  for (int i = 0; i < tensors.count; ++i) {
    tensors.one[i].first_block = blocks;
    blocks += blocks_for(tensors.one[i].count, kChunk);
  }
  return blocks;
}

__global__ void pieces_kernel(const __grid_constant__ Pieces pieces) {
  const Pieces::One& p = tensor_of(pieces, blockIdx.x);
  const int64_t begin = static_cast<int64_t>(blockIdx.x - p.first_block) * kChunk,
                end = min(p.count, begin + kChunk);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) p.to[i] = p.from[i];
}

__global__ void adamw_kernel(const __grid_constant__ AdamWTensors tensors, AdamWRule rule,
                             const float* skipped) {
  if (skipped && *skipped != 0) return;
  const AdamWTensors::One& t = tensor_of(tensors, blockIdx.x);
  __shared__ float of_step[2];  // the step's size, and the root of the second correction
  if (threadIdx.x == 0) {
    const double steps = *t.steps;
    of_step[0] = static_cast<float>(rule.lr / (1 - pow(rule.beta1, steps)));
    of_step[1] = static_cast<float>(sqrt(1 - pow(rule.beta2, steps)));
  }
  __syncthreads();
  const float size = of_step[0], root = of_step[1], kept = static_cast<float>(rule.beta1),
              added = static_cast<float>(1 - rule.beta1), kept_sq = static_cast<float>(rule.beta2),
              added_sq = static_cast<float>(1 - rule.beta2), eps = static_cast<float>(rule.eps),
              shrunk = static_cast<float>(1 - rule.lr * rule.weight_decay);
  const int64_t begin = static_cast<int64_t>(blockIdx.x - t.first_block) * kChunk,
                end = min(t.count, begin + kChunk);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const float g = t.grad[i], m = kept * t.exp_avg[i] + added * g,
                v = kept_sq * t.exp_avg_sq[i] + added_sq * (g * g);
    t.exp_avg[i] = m;
    t.exp_avg_sq[i] = v;
    t.param[i] = t.param[i] * shrunk - size * m / (sqrtf(v) / root + eps);
  }
}

}  // namespace

int square_blocks(int64_t count) {
  return std::min(kMostSquareBlocks, static_cast<int>(blocks_for(count, kChunk)));
}

void put_together(Pieces pieces, Stream stream) {
  if (const unsigned blocks = number_blocks(pieces); blocks > 0)
    launch("put_together", pieces_kernel, blocks, kThreads, 0, stream, pieces);
}

void sum_squares(const float* x, int64_t count, float* partials, Stream stream) {
  if (count == 0) return;
  launch("sum_squares", squares_kernel, static_cast<unsigned>(square_blocks(count)), kThreads, 0,
         stream, x, count, partials);
}

void judge(const VerdictCall& call, Stream stream) {
  launch("judge", verdict_kernel, 1, 32, 0, stream, call);
}

void adamw(AdamWTensors tensors, const AdamWRule& rule, const float* skipped, Stream stream) {
  const unsigned blocks = number_blocks(tensors);
  if (tensors.count == 0) return;
  launch("adamw_count", count_kernel, 1, AdamWTensors::kMost, 0, stream, tensors, skipped);
  if (blocks == 0) return;
  launch("adamw", adamw_kernel, blocks, kThreads, 0, stream, tensors, rule, skipped);
}

}  // namespace mtlora::backend::cuda
