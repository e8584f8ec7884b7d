#include "lib/train/device_batch.h"

#include <cstring>

namespace mtlora {
namespace {

constexpr int64_t kWord = sizeof(int64_t);

int64_t words_of(int64_t count, torch::ScalarType type) {
  const auto bytes = count * static_cast<int64_t>(c10::elementSize(type));
  return (bytes + kWord - 1) / kWord;
}

int64_t words_of(const BatchSize& s) {
  return 4 * s.tokens + s.sequences + words_of(s.sequences + 1, torch::kInt) +
         words_of(s.labels, s.label) + s.targets;
}

/// Writes one tensor after another into the words of a buffer.
class Writer {
 public:
  explicit Writer(const Tensor& buffer) : at_(buffer.data_ptr<int64_t>()) {}
  /// `values` into the next `words`, and after them zeros, or -1 in every word.
  void add(const void* values, size_t bytes, int64_t words, int filler = 0) {
    const auto room = static_cast<size_t>(words * kWord);
    if (bytes > 0) std::memcpy(at_, values, bytes);
    std::memset(reinterpret_cast<char*>(at_) + bytes, filler, room - bytes);
    at_ += words;
  }
  void add(const Tensor& values, int64_t words, int filler = 0) {
    if (values.defined()) add(values.data_ptr(), values.nbytes(), words, filler);
  }

 private:
  int64_t* at_;
};

}  // namespace

BatchSize BatchSize::of(const Batch& batch) {
  BatchSize size{batch.ids.size(0), batch.sequences(), 0, 0, batch.packing.longest, torch::kLong};
  if (batch.labels.defined()) {
    size.labels = batch.labels.size(0);
    size.label = batch.labels.scalar_type();
  }
  if (batch.targets.defined()) size.targets = batch.targets.size(0);
  return size;
}

Tensor staging(int64_t words, torch::Device device) {
  return torch::empty({words}, torch::TensorOptions(torch::kLong).pinned_memory(device.is_cuda()));
}

DeviceBatch::DeviceBatch(const BatchSize& size, torch::Device device)
    : size_(size),
      buffer_(torch::zeros({words_of(size)}, torch::TensorOptions(torch::kLong).device(device))) {
  batch_.ids = words(size.tokens);
  batch_.positions = words(size.tokens);
  batch_.segments = words(size.tokens);
  batch_.rows = words(size.tokens);
  batch_.first = words(size.sequences);
  batch_.packing.device_offsets = words(words_of(size.sequences + 1, torch::kInt))
                                      .view(torch::kInt)
                                      .narrow(0, 0, size.sequences + 1);
  if (size.labels > 0)
    batch_.labels =
        words(words_of(size.labels, size.label)).view(size.label).narrow(0, 0, size.labels);
  if (size.targets > 0) batch_.targets = words(size.targets);
  batch_.packing.longest = size.longest;
  batch_.packing.offsets = host_offsets_;
}

Tensor DeviceBatch::words(int64_t count) {
  used_ += count;
  return buffer_.narrow(0, used_ - count, count);
}

void DeviceBatch::fill(const Batch& batch) {
  const BatchSize given = BatchSize::of(batch);
  TORCH_INTERNAL_ASSERT(given.tokens <= size_.tokens && given.sequences == size_.sequences &&
                        given.targets <= size_.targets && given.longest <= size_.longest &&
                        given.label == size_.label &&
                        (given.labels == size_.labels || given.targets > 0));
  const Tensor host = staging(buffer_.size(0), buffer_.device());
  Writer writer(host);
  for (const Tensor& t : {batch.ids, batch.positions, batch.segments, batch.rows})
    writer.add(t, size_.tokens);
  writer.add(batch.first, size_.sequences);
  const std::vector<int32_t>& offsets = *batch.packing.offsets;
  *host_offsets_ = offsets;
  writer.add(offsets.data(), offsets.size() * sizeof(int32_t),
             words_of(size_.sequences + 1, torch::kInt));
  writer.add(batch.labels, words_of(size_.labels, size_.label), given.targets > 0 ? -1 : 0);
  writer.add(batch.targets, size_.targets);
  buffer_.copy_(host, /*non_blocking=*/true);
}

Batch on_device(const Batch& batch, torch::Device device) {
  if (batch.ids.device() == device) return batch;
  DeviceBatch there(BatchSize::of(batch), device);
  there.fill(batch);
  return there.batch();
}

}  // namespace mtlora
