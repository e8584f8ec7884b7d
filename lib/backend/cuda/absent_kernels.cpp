// A build without CUDA has no kernels and records nothing, and none of this is ever called. In a
// source of its own, so that the tests can put in its place what runs on the CPU (tests/emulator).
#include <cstdlib>

#include "lib/backend/cuda/runtime.h"

namespace mtlora::backend::cuda {

bool kernels_on_host() {
  return false;
}
Stream current_stream() {
  std::abort();
}

void dropout(const DropoutCall&, Stream) {
  std::abort();
}
void place_blocks(Element, const Blocks&, const Blocks&, Stream) {
  std::abort();
}
void mask_factors(const Mask&, int64_t, int64_t, int64_t, bool, float*, Stream) {
  std::abort();
}
void norm_forward(const NormCall&, Stream) {
  std::abort();
}
void norm_backward(const NormBackwardCall&, Stream) {
  std::abort();
}
void embed(const EmbedCall&, Stream) {
  std::abort();
}
void cross_entropy(const CrossEntropyCall&, float*, Stream) {
  std::abort();
}
void cross_entropy_backward(const CrossEntropyCall&, const float*, Matrix, Stream) {
  std::abort();
}
void swiglu_forward(Element, Matrix, Matrix, int64_t, int64_t, Stream) {
  std::abort();
}
void swiglu_backward(Element, Matrix, Matrix, Matrix, int64_t, int64_t, Stream) {
  std::abort();
}
void rotate(const RotateCall&, Stream) {
  std::abort();
}
int square_blocks(int64_t) {
  std::abort();
}
void put_together(Pieces, Stream) {
  std::abort();
}
void sum_squares(const float*, int64_t, float*, Stream) {
  std::abort();
}
void judge(const VerdictCall&, Stream) {
  std::abort();
}
void adamw(AdamWTensors, const AdamWRule&, const float*, Stream) {
  std::abort();
}
void decode_attention(const DecodeCall&, Stream) {
  std::abort();
}
void attention_forward(const AttentionCall&, Stream) {
  std::abort();
}
void attention_backward(const AttentionBackwardCall&, Stream) {
  std::abort();
}

void release_unused_memory() {
  std::abort();
}

struct Graph::State {};
Graph::Graph() {
  std::abort();
}
Graph::~Graph() = default;
GraphMemory::GraphMemory() {
  std::abort();
}
void Graph::capture(const GraphMemory&, const std::function<void()>&) {
  std::abort();
}
void Graph::replay() {
  std::abort();
}

}  // namespace mtlora::backend::cuda
