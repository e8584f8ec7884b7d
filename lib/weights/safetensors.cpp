#include "lib/weights/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <bit>
#include <cstring>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/weights/safetensors_header.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr uint64_t kLengthBytes = 8, kHeaderLimitBytes = 100'000'000;

std::string_view header_of(std::string_view bytes, const std::string& file) {
  if (bytes.size() < kLengthBytes)
    fail("{}: {} bytes are too few for a safetensors file; is it cut off?", file, bytes.size());
  uint64_t length;
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kHeaderLimitBytes)
    fail("{}: a header of {} bytes, but at most {} are allowed; is it a safetensors file?", file,
         length, kHeaderLimitBytes);
  if (length > bytes.size() - kLengthBytes)
    fail("{}: the header has {} bytes, but only {} follow; is the file cut off?", file, length,
         bytes.size() - kLengthBytes);
  return bytes.substr(kLengthBytes, length);
}

class SafetensorsFile final : public WeightFile {
 public:
  explicit SafetensorsFile(const fs::path& file)
      : WeightFile(file), mapped_(std::make_shared<MappedFile>(file)) {
    const std::string_view text = header_of(mapped_->bytes(), file.string());
    data_ = mapped_->bytes().substr(kLengthBytes + text.size());
    SafetensorsHeader header = parse_header(text, data_.size(), file.string());
    ranges_ = std::move(header.ranges);
    set_metadata(std::move(header.metadata));
    set_tensors(std::move(header.tensors));
  }

 private:
  at::Tensor read_at(size_t index) const override {
    const TensorInfo& info = tensors()[index];
    const auto [begin, end] = ranges_[index];
    const char* at = data_.data() + begin;
    const bool is_aligned = reinterpret_cast<uintptr_t>(at) % c10::elementSize(info.dtype) == 0;
    if (begin != end && is_aligned)
      return at::from_blob(
          const_cast<char*>(at), info.shape, [keep = mapped_](void*) {},
          at::TensorOptions(info.dtype));
    at::Tensor copy = at::empty(info.shape, info.dtype);
    if (begin != end) std::memcpy(copy.data_ptr(), at, end - begin);
    return copy;
  }

  std::shared_ptr<MappedFile> mapped_;
  std::string_view data_;          // what follows the header
  std::vector<ByteRange> ranges_;  // by tensor
};

}  // namespace

std::unique_ptr<WeightFile> open_safetensors(const fs::path& file) {
  return std::make_unique<SafetensorsFile>(file);
}

void write_safetensors(const fs::path& file, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = header_text(tensors, metadata, file.string());
  const uint64_t length = header.size();
  FileWriter out(file);
  out.write({reinterpret_cast<const char*>(&length), sizeof length});
  out.write(header);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
    out.write({static_cast<const char*>(plain.data_ptr()), plain.nbytes()});
  }
  out.finish();
}

}  // namespace mtlora
